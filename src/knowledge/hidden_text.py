"""Pure: whether a document holds text that its readers do not see, which may be meant for models.

It stays data like all text and changes nothing; the document's warnings say that it is there.
"""

import re
import zipfile
from io import BytesIO
from typing import Final

from knowledge.limits import MEBIBYTE

WARNING: Final = "hidden_text"
# Letters of no shape (Unicode's tag block); after a black flag they spell one of a region, as emoji do.
_TAG_CHARACTERS: Final = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+")
_STYLE: Final = re.compile(rb"""\sstyle\s*=\s*(?:"([^"]{0,2000})"|'([^']{0,2000})')""", re.IGNORECASE)
_COLOUR: Final = re.compile(r"(?:^|;)\s*(color|background(?:-color)?)\s*:\s*([^;!]+)", re.IGNORECASE)
_SIZE: Final = re.compile(
    r"(?:^|;)\s*(?:font-size\s*:\s*[01](?:px|pt)?|opacity\s*:\s*0?\.?0+)\s*(?:;|!|$)", re.IGNORECASE
)
_WHITE: Final = frozenset({"#fff", "#ffffff", "white", "rgb(255,255,255)"})
_VANISHED: Final = re.compile(rb"""<w:vanish\s*(?:/>|w:val\s*=\s*["'](?:1|true|on)["'])""")
_DOCX_BODY: Final = "word/document.xml"
_BODY_BYTES_MAX: Final = 64 * MEBIBYTE


def invisible_characters(text: str) -> str | None:
    """A warning where `text` holds characters that nobody sees, with their number."""
    count = sum(len(found[0]) for found in _TAG_CHARACTERS.finditer(text))
    characters = "1 character" if count == 1 else f"{count:,} characters"
    return f"{WARNING}: {characters} without a shape (U+E0000 to U+E007F)" if count else None


def hidden_in_page(page: bytes) -> str | None:
    """A warning where an element of a web page is too small to see, or has the colour of its background."""
    styles = ((found[1] or found[2] or b"").decode("utf-8", "replace") for found in _STYLE.finditer(page))
    if any(_hides(style) for style in styles):
        return f"{WARNING}: text without size, or in the colour of its background"
    return None


def hidden_in_docx(data: bytes) -> str | None:
    """A warning where runs of a Word document are formatted as hidden. The container was looked over before."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(_DOCX_BODY) as body:
            is_there = _VANISHED.search(body.read(_BODY_BYTES_MAX)) is not None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError):
        return None  # the parser that reads the text says what is wrong with the file
    return f"{WARNING}: text that is formatted as hidden" if is_there else None


def _hides(style: str) -> bool:
    if _SIZE.search(style):
        return True
    found = {name.lower(): _plain(value) for name, value in _COLOUR.findall(style)}
    background = found.get("background-color", found.get("background"))
    return background is not None and found.get("color") == background


def _plain(colour: str) -> str:
    plain = "".join(colour.lower().split())
    return "white" if plain in _WHITE else plain
