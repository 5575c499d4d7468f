"""Pages that somebody else read -> ParsedText: cleaned, with spans, headings and tables as our parsers leave it."""

from collections.abc import Sequence

import msgspec

from knowledge.cleaning import one_line
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.language import detect_language
from knowledge.limits import ParseLimits
from knowledge.markdown import outline, shorten_data_uris
from knowledge.text import ParsedText, TextFormat
from knowledge.writer import TextWriter


class PageText(msgspec.Struct, frozen=True):
    """The text of one page (its number from 1), or 0 and the text of a document that has none."""

    number: int
    text: str


def parsed_from_pages(
    pages: Sequence[PageText],
    text_format: TextFormat,
    limits: ParseLimits,
    *,
    title: str = "",
    language: str = "",
    parser: str = "",
    warnings: Sequence[str] = (),
) -> ParsedText:
    """Takes a second for 10 MB. Raises ParseError (no_text, resource_limit), and ValueError where the numbers of the
    pages do not rise."""
    numbers = [page.number for page in pages]
    if numbers != [0] * len(numbers) and (numbers[0] < 1 or numbers != sorted(set(numbers))):
        raise ValueError("the numbers of the pages have to rise from 1, or all be 0")
    writer = TextWriter(text_format, limits)
    for page in pages:
        if page.number:
            writer.turn_to_page(page.number)
        writer.verbatim(shorten_data_uris(page.text) if text_format is TextFormat.MARKDOWN else page.text)
    parsed = writer.finish(
        parser=one_line(parser), title=title or None, language=None, warnings=tuple(map(one_line, warnings))
    )
    if not parsed.text.strip():
        raise ParseError(ParseErrorCode.NO_TEXT, "the document holds no text")
    parsed = msgspec.structs.replace(parsed, language=detect_language(parsed.text, language or None))
    return _with_outline(parsed) if text_format is TextFormat.MARKDOWN else parsed


def _with_outline(parsed: ParsedText) -> ParsedText:
    headings, tables = outline(parsed.text)
    title = parsed.title or next((heading.text for heading in headings if heading.level == 1), None)
    return msgspec.structs.replace(parsed, headings=headings, tables=tables, title=title)
