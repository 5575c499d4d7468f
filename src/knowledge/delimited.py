"""CSV and TSV -> one Markdown table, one row a line."""

import csv
import io
from typing import Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.writer import TextWriter

DELIMITERS: Final = (",", ";", "\t", "|")
DIALECT_LINES_MAX: Final = 50


def write_delimited(writer: TextWriter, text: str, *, delimiter: str | None, limits: ParseLimits) -> None:
    """Writes the rows of `text`; `delimiter` None means to find out.

    Raises ParseError(parse_failed) with the row's number where a field is longer than the limit, which is what
    an unclosed quote comes to, and resource_limit for too many cells.
    """
    csv.field_size_limit(limits.table_field_chars_max)  # the module's own limit of 131,072 refuses real exports
    rows: list[list[str]] = []
    cells = 0
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter or find_delimiter(text))
    try:
        for row in reader:
            cells += len(row)
            if cells > limits.table_cells_max:
                raise ParseError(
                    ParseErrorCode.RESOURCE_LIMIT,
                    f"the table has more than {limits.table_cells_max:,} cells (row {len(rows) + 1:,})",
                )
            if any(cell.strip() for cell in row):
                rows.append(row)
    except csv.Error as error:
        raise ParseError(
            ParseErrorCode.PARSE_FAILED, f"row {len(rows) + 1:,} (line {reader.line_num:,}): {error}"
        ) from error
    writer.table(rows)


def find_delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into the most columns of which every line has as many."""
    lines = text.lstrip("\n\r")[: 1024 * 1024].splitlines()[:DIALECT_LINES_MAX]
    return max(DELIMITERS, key=lambda delimiter: _fit(lines, delimiter))


def _fit(lines: list[str], delimiter: str) -> float:
    try:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    usual = max(set(widths), key=widths.count)
    return (usual - 1) * widths.count(usual) / len(widths)
