"""Pure: text from anywhere -> text that every later step can trust."""

import re
import unicodedata
from functools import cache
from typing import Final

# Line ends of every platform, and the characters that Unicode gives the same meaning.
_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# C0 and C1 controls but \t and \n, soft hyphens (invisible, and they split words for a search), byte order
# marks, lone surrogates (cannot be encoded), and the non-characters at the end of the first plane.
_UNWANTED: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\ufeff\ud800-\udfff\ufffe\uffff\ufdd0-\ufdef]")

# Canonical ordering sorts each run of combining marks by insertion: a run of 1 MB takes hours. Thirty is what
# Unicode's Stream-Safe Text Format (UAX #15, section 13) allows; no language comes near it.
COMBINING_MARKS_MAX: Final = 30
_COMBINING_FIRST: Final = 0x300
_COMBINING_LAST: Final = 0x1E94A
_PLANE_LAST: Final = 0xFFFF
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")

# Scripts that are written without blanks between words: Han, kana, bopomofo and their full-width punctuation.
# Hangul is not among them: Korean separates words.
_CJK: Final = (
    "\u2e80-\u2fdf\u3000-\u30ff\u3100-\u312f\u31c0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
)
_BLANK_BETWEEN_CJK: Final = re.compile(f"(?<=[{_CJK}])[ \t]*\n?[ \t]*(?=[{_CJK}])")


def clean(text: str) -> str:
    """NFC text with `\\n` line ends and no control characters but `\\n` and `\\t`; idempotent."""
    text = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text := _without_towers(text)):
        text = unicodedata.normalize("NFC", text)
    return text


def one_line(text: str) -> str:
    """The words of `text` on one line, single blanks between them."""
    return " ".join(clean(text).split())


def join_wrapped_cjk(text: str) -> str:
    """`text` without the blanks that a line break left between two CJK characters.

    A parser joins wrapped lines with a blank, which is right for English and cuts Chinese words in two.
    """
    return _BLANK_BETWEEN_CJK.sub("", text)


def _without_towers(text: str) -> str:
    text = _towers(_COMBINING_FIRST, _PLANE_LAST).sub(r"\1", text)
    if _ASTRAL.search(text):
        text = _towers(_PLANE_LAST + 1, _COMBINING_LAST).sub(r"\1", text)
    return text


@cache
def _towers(first: int, last: int) -> re.Pattern[str]:
    # One pattern for each side of U+FFFF: a class that spans it is searched character by character, 14 s for 40 MB
    # instead of 0.3.
    marks = "".join(chr(code) for code in range(first, last + 1) if unicodedata.combining(chr(code)))
    return re.compile(f"([{marks}]{{{COMBINING_MARKS_MAX}}})[{marks}]+")
