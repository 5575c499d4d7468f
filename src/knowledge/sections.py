"""Pure: the parts of a text that no chunk crosses: sections under headings, pages, tables, stretches of paragraphs."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from knowledge.chunk import count_tokens
from knowledge.cuts import Span, stretches
from knowledge.text import ParsedText, Table

# A section below a quarter of a chunk is joined with the next: a heading with one line under it finds little alone.
SECTION_FRACTION_MIN: Final = 4
LEAD_CHARS_MAX: Final = 500


def whole(text: ParsedText, size_tokens: int) -> Iterator[Span]:
    """The text in stretches."""
    return stretches(text.text, (0, len(text.text)), size_tokens)


def by_heading(text: ParsedText, size_tokens: int) -> Iterator[Span]:
    """Sections, small ones joined, long ones in stretches."""
    places = (heading.start for heading in text.headings)
    for section in _joined(text.text, _between(text.text, places), size_tokens):
        yield from stretches(text.text, section, size_tokens)


def by_page(text: ParsedText, size_tokens: int) -> Iterator[Span]:
    """Pages, and what stands before or behind them; sections where there are no pages."""
    if not text.pages:
        return by_heading(text, size_tokens)
    return _between(text.text, (place for page in text.pages for place in (page.start, page.end)))


def by_row(text: ParsedText, size_tokens: int) -> Iterator[Span]:
    """Each row of a table, header and ruler with the first; sections of everything between tables."""
    places = [heading.start for heading in text.headings]
    for table in text.tables:
        places += [table.start, table.end, *_row_starts(text.text, table)]
    for start, end in _between(text.text, places):
        if _table_at(text, start) is not None:
            yield start, end
        else:
            yield from stretches(text.text, (start, end), size_tokens)


def lead_of(text: ParsedText, start: int) -> str:
    """The header of the table in whose middle `start` lies, at most 500 characters; empty elsewhere."""
    table = _table_at(text, start)
    if table is None or table.start == start:
        return ""
    return text.text[table.start : table.end].split("\n", 1)[0][:LEAD_CHARS_MAX]


def ruler(header: str) -> str:
    """The line under a header of a Markdown table."""
    return "|" + " --- |" * max(1, header.replace("\\|", "").strip().strip("|").count("|") + 1)


def _table_at(text: ParsedText, place: int) -> Table | None:
    index = bisect_right(text.tables, place, key=_start) - 1
    return text.tables[index] if index >= 0 and place < text.tables[index].end else None


def _start(table: Table) -> int:
    return table.start


def _row_starts(text: str, table: Table) -> Iterator[int]:
    place = text.find("\n", table.start, table.end)
    place = text.find("\n", place + 1, table.end) if place >= 0 else -1  # behind the ruler
    is_first = True
    while place >= 0:
        if not is_first:
            yield place + 1
        is_first = False
        place = text.find("\n", place + 1, table.end)


def _between(text: str, places: Iterable[int]) -> Iterator[Span]:
    cuts = {0, len(text), *(place for place in places if 0 <= place < len(text))}
    return pairwise(sorted(cuts))


def _joined(text: str, sections: Iterable[Span], size_tokens: int) -> Iterator[Span]:
    start, tokens = 0, 0
    for begin, end in sections:
        section_tokens = count_tokens(text[begin:end])
        is_too_small_alone = tokens < size_tokens // SECTION_FRACTION_MIN
        if tokens and not (is_too_small_alone and tokens + section_tokens <= size_tokens):
            yield start, begin
            start, tokens = begin, 0
        tokens += section_tokens
    if start < len(text):
        yield start, len(text)
