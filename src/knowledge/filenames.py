"""Pure: the file name of a stranger as a name that is safe to store, to show and to send back."""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

NAME_BYTES_MAX: Final = 255
"""What file systems allow; a name is downloaded under again."""

EXTENSION_BYTES_MAX: Final = 16
"""A longer one is no extension worth keeping when a name is cut."""

UNNAMED: Final = "unnamed"

PATH_CHARACTERS_MAX: Final = 2_000
"""A path is kept as metadata, and is as long as a search can filter by."""

_SEPARATORS: Final = re.compile(r"[/\\]")
_ABSOLUTE: Final = re.compile(r"\s*([/\\]|[A-Za-z]:)")
_EXTENDED: Final = re.compile(
    r";\s*filename\*\s*=\s*\"?([\w-]{1,40})'[^';]{0,40}'([^\s;\"]+)", re.ASCII | re.IGNORECASE
)
_REPLACED: Final = "_"
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""They let `exe.fdp` be shown as `pdf.exe` reversed. The joiner of emoji (U+200D) is none of them."""


def clean_filename(name: str) -> str:
    """The base name in NFC, without control characters, 1 to 255 bytes of UTF-8; `unnamed` where nothing is left.

    Total and idempotent. A name that is cut keeps its extension and ends at a character.
    """
    is_plain = name.isascii() and name.isprintable()  # most names: nothing of them is hidden, or has two forms
    normal = name if is_plain else unicodedata.normalize("NFC", "".join(map(_visible, name)))
    base = _SEPARATORS.split(normal.rstrip("/\\ "))[-1].strip()
    if not base.strip(". "):
        return UNNAMED
    return _shortened(base)


def clean_path(name: str) -> str | None:
    """The path of a file within the folder that it was sent with, `/` between its cleaned parts; None where a name is
    no more than a name, begins at the root of a disk, steps up, or is longer than PATH_CHARACTERS_MAX."""
    if _ABSOLUTE.match(name):
        return None
    parts = [part for part in _SEPARATORS.split(name) if part.strip() not in {"", "."}]
    if len(parts) < 2 or any(part.strip() == ".." for part in parts):
        return None
    path = "/".join(map(clean_filename, parts))
    return path if len(path) <= PATH_CHARACTERS_MAX else None


def suffix_of(name: str) -> str:
    """What follows the last dot of a name, with it: as `PurePosixPath.suffix`, which takes seven times as long."""
    if "/" in name:
        return PurePosixPath(name).suffix
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def filename_of_url(url: str) -> str:
    """The last segment of the path, decoded; the host where there is none. Cleaned."""
    name = clean_filename(last_segment(url))
    return name if name != UNNAMED else clean_filename(host_of_url(url))


def last_segment(url: str) -> str:
    """Of a URL's path, decoded, as it is."""
    return unquote(urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1])


def host_of_url(url: str) -> str:
    """Its host in lower case; empty where there is none."""
    return urlsplit(url).hostname or ""


def extended_filename(disposition: str) -> str | None:
    """The `filename*` of a Content-Disposition (RFC 6266), which some clients send for names outside ASCII."""
    found = _EXTENDED.search(disposition)
    if found is None:
        return None
    try:
        return unquote(found[2], encoding=found[1], errors="replace")
    except LookupError:
        return unquote(found[2], errors="replace")


def _visible(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _BIDI_CONTROLS:
        return _REPLACED
    return character


def _shortened(base: str) -> str:
    if len(base.encode()) <= NAME_BYTES_MAX:
        return base
    suffix = suffix_of(base)
    if len(suffix.encode()) > EXTENSION_BYTES_MAX:
        suffix = ""
    stem = base.removesuffix(suffix).encode()[: NAME_BYTES_MAX - len(suffix.encode())]
    # A cut between a letter and its combining mark can leave a form that NFC would join otherwise: normalise again.
    return unicodedata.normalize("NFC", stem.decode(errors="ignore").strip() + suffix)
