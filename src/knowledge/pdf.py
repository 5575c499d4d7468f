"""A second look at a PDF where the first parser is known to be wrong, or saw nothing."""

import re
from typing import Final

import msgspec

from knowledge import pdf_pages
from knowledge.language import detect_language
from knowledge.limits import ParseLimits
from knowledge.pictures import with_scanned_pages
from knowledge.text import ParsedText
from knowledge.writer import TextWriter

RIGHT_TO_LEFT_SHARE_MIN: Final = 0.3
GARBLED_SHARE_MIN: Final = 0.5
GARBLED_CHARS_MIN: Final = 40
GARBLED: Final = "garbled_text: the fonts of the document do not say which characters they show"
_LETTER: Final = re.compile(r"[^\W\d_]")
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# Bytes of a double-byte encoding, each taken for a character of Latin-1; no language writes so many in a row.
_MOJIBAKE: Final = re.compile("[\u00a1-\u00ff]{4,}")
_LINE_END: Final = re.compile(r"\r\n|\r")
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")


def second_look(data: bytes, parsed: ParsedText, limits: ParseLimits) -> ParsedText:
    """`parsed`, its right-to-left text in logical order, missing text found elsewhere, scanned pages read.

    Raises ParseError(resource_limit) where that passes `limits`.
    """
    try:
        if is_right_to_left(parsed.text) or not parsed.text.strip():
            parsed = _by_pages(data, parsed, limits)
        if is_garbled(parsed.text):
            return msgspec.structs.replace(parsed, language=None, warnings=(*parsed.warnings, GARBLED))
        return with_scanned_pages(data, parsed, limits)
    except pdf_pages.PagesUnreadable:
        return parsed  # what the first parser made of a damaged file is more than nothing


def is_right_to_left(text: str) -> bool:
    """Whether much of `text` is Arabic, Hebrew or of their kin."""
    letters = len(_LETTER.findall(text))
    return bool(letters) and len(_RIGHT_TO_LEFT.findall(text)) >= RIGHT_TO_LEFT_SHARE_MIN * letters


def is_garbled(text: str) -> bool:
    """Whether `text` is the bytes of another encoding rather than words."""
    seen = sum(not char.isspace() for char in text)
    noise = sum(len(run) for run in _MOJIBAKE.findall(text))
    return seen >= GARBLED_CHARS_MIN and noise >= GARBLED_SHARE_MIN * seen


def _by_pages(data: bytes, parsed: ParsedText, limits: ParseLimits) -> ParsedText:
    writer = TextWriter(parsed.format, limits)
    for number, text in enumerate(pdf_pages.page_texts(data), 1):
        writer.turn_to_page(number)
        for paragraph in _PARAGRAPH.split(_LINE_END.sub("\n", text)):
            writer.paragraph(paragraph)
    if writer.is_blank:
        return parsed
    read = writer.finish(
        parser=pdf_pages.version(), title=parsed.title, language=parsed.language, warnings=parsed.warnings
    )
    return msgspec.structs.replace(read, language=detect_language(read.text, parsed.language))
