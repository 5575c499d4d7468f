"""Builds a ParsedText block by block and remembers where its pages, headings and tables begin and end."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

import msgspec

from knowledge.cleaning import clean, join_wrapped_cjk, one_line
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.text import Heading, Page, ParsedText, Table, TextFormat

HEADING_LEVEL_MAX: Final = 6
LIST_INDENT: Final = "  "
LIST_DEPTH_MAX: Final = 20


class _Block(Enum):
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"


class TextWriter:
    """Collects one document's text; every block is cleaned on the way in, so that spans stay true.

    All methods raise ParseError(resource_limit) once the text or its tables pass `limits`.
    """

    def __init__(self, text_format: TextFormat, limits: ParseLimits) -> None:
        self._format = text_format
        self._limits = limits
        self._parts: list[str] = []
        self._length = 0
        self._bytes = 0
        self._cells = 0
        self._last_block: _Block | None = None
        self._headings: list[Heading] = []
        self._tables: list[Table] = []
        self._pages: list[Page] = []
        self._open_page: tuple[int, int] | None = None
        self._turned: list[int] = []
        self.page: int | None = None

    @property
    def is_blank(self) -> bool:
        """Whether nothing has been written."""
        return self._length == 0

    def turn_to_page(self, number: int) -> None:
        """What follows stands on page `number` (from 1); a page may stay blank."""
        if number > self._limits.pages_max:
            raise ParseError(
                ParseErrorCode.RESOURCE_LIMIT, f"the document has more than {self._limits.pages_max:,} pages"
            )
        if number != self.page:
            self.page = number
            self._turned.append(number)

    def leave_pages(self) -> None:
        """What follows (notes, running headers) stands on no page of its own."""
        self._open_pages(self._length)
        self._close_page()
        self.page = None

    def paragraph(self, text: str) -> None:
        """One paragraph; blanks that wrapped lines left between CJK characters are removed."""
        self._append(join_wrapped_cjk(clean(text)).strip(), _Block.PARAGRAPH)

    def verbatim(self, text: str) -> None:
        """Text whose blanks and lines mean something: code, formulas."""
        self._append(clean(text).strip("\n"), _Block.PARAGRAPH)

    def heading(self, level: int, text: str) -> None:
        """A heading on a line of its own, level 1 (outermost) to 6."""
        words = join_wrapped_cjk(one_line(text))
        if not words:
            return
        level = min(max(level, 1), HEADING_LEVEL_MAX)
        mark = "#" * level + " " if self._format is TextFormat.MARKDOWN else ""
        start = self._append(mark + words, _Block.PARAGRAPH)
        self._headings.append(Heading(level=level, text=words, start=start))

    def list_item(self, text: str, *, marker: str = "", depth: int = 0) -> None:
        """One item of a list, with its marker (`3.`, `B.`) where that means something; `depth` 0 is outermost."""
        words = join_wrapped_cjk(clean(text)).strip()
        if words:
            indent = LIST_INDENT * min(depth, LIST_DEPTH_MAX)
            label = f"{one_line(marker)} " if marker else ""
            self._append(indent + label + words, _Block.LIST_ITEM)

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """Rows of cells as a Markdown table, one row a line, the first row its header."""
        grid = [[_cell(cell) for cell in row] for row in rows]
        columns = max((len(row) for row in grid), default=0)
        if not any(any(row) for row in grid):
            return
        self._cells += columns * len(grid)
        self._check_cells()
        lines = [_row(row, columns) for row in grid]
        lines.insert(1, _row(["---"] * columns, columns))
        start = self._append("\n".join(lines), _Block.PARAGRAPH)
        self._tables.append(Table(start=start, end=self._length, rows=len(grid), columns=columns))

    def include(self, parsed: ParsedText, *, levels: int) -> None:
        """A whole text, its headings moved `levels` down and its tables; its pages are no pages of this one."""
        self._cells += sum(table.rows * table.columns for table in parsed.tables)
        self._check_cells()
        start = self._append(parsed.text, _Block.PARAGRAPH)
        for heading in parsed.headings:
            level = min(heading.level + levels, HEADING_LEVEL_MAX)
            self._headings.append(Heading(level=level, text=heading.text, start=heading.start + start))
        for table in parsed.tables:
            moved = msgspec.structs.replace(table, start=table.start + start, end=table.end + start)
            self._tables.append(moved)

    def finish(
        self, *, parser: str, title: str | None, language: str | None, warnings: tuple[str, ...] = ()
    ) -> ParsedText:
        """The text with all its spans."""
        self._open_pages(self._length)
        self._close_page()
        return ParsedText(
            text="".join(self._parts),
            pages=tuple(self._pages),
            headings=tuple(self._headings),
            tables=tuple(self._tables),
            format=self._format,
            title=(one_line(title) or None) if title else None,
            language=language,
            parser=parser,
            warnings=warnings,
        )

    def _check_cells(self) -> None:
        if self._cells > self._limits.table_cells_max:
            raise ParseError(
                ParseErrorCode.RESOURCE_LIMIT,
                f"the tables have more than {self._limits.table_cells_max:,} cells",
            )

    def _append(self, block: str, kind: _Block) -> int:
        if not block:
            return self._length
        if self._length:
            in_list = kind is _Block.LIST_ITEM and self._last_block is _Block.LIST_ITEM and not self._turned
            self._push("\n" if in_list else "\n\n")
        start = self._length
        self._open_pages(start)
        self._push(block)
        self._last_block = kind
        self._bytes += len(block.encode())
        if self._bytes > self._limits.text_bytes_max:
            raise ParseError(
                ParseErrorCode.RESOURCE_LIMIT,
                f"the text has more than {self._limits.text_bytes_max:,} bytes",
            )
        return start

    def _push(self, part: str) -> None:
        self._parts.append(part)
        self._length += len(part)

    def _open_pages(self, start: int) -> None:
        for number in self._turned:
            self._close_page(end=start)
            self._open_page = (number, start)
        self._turned.clear()

    def _close_page(self, end: int | None = None) -> None:
        # A page reaches to where the next one starts, the empty line between them included: every character
        # of the body then lies on exactly one page.
        if self._open_page is not None:
            number, start = self._open_page
            self._pages.append(Page(number=number, start=start, end=self._length if end is None else end))
            self._open_page = None


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _row(cells: Sequence[str], columns: int) -> str:
    return "| " + " | ".join([*cells, *[""] * (columns - len(cells))]) + " |"
