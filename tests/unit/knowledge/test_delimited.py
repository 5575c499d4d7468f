"""Delimited text becomes one table, one row a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.delimited import find_delimiter, write_delimited
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.text import ParsedText, TextFormat
from knowledge.writer import TextWriter


def table_of(text: str, *, delimiter: str | None = None, limits: ParseLimits | None = None) -> ParsedText:
    limits = limits or ParseLimits()
    writer = TextWriter(TextFormat.MARKDOWN, limits)
    write_delimited(writer, text, delimiter=delimiter, limits=limits)
    return writer.finish(parser="test", title=None, language=None)


def test_rows_become_lines_under_their_header() -> None:
    parsed = table_of('part,price\nMS-4410,"48,50"\n石磨,"two\nlines"\n\n=cmd|x,-1\n')
    assert parsed.text.split("\n") == [
        "| part | price |",
        "| --- | --- |",
        "| MS-4410 | 48,50 |",
        "| 石磨 | two lines |",
        "| =cmd\\|x | -1 |",
    ]
    (table,) = parsed.tables
    assert (table.start, table.end, table.rows, table.columns) == (0, len(parsed.text), 4, 2)


def test_short_rows_are_filled_up() -> None:
    assert table_of("a,b,c\n1\n").text.split("\n")[2] == "| 1 |  |  |"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2", ","),
        ("a;b\n1,5;2,5\n3,5;4", ";"),
        ("a\tb, c\n1\t2", "\t"),
        ("a|b|c\n1|2|3", "|"),
        ("one column", ","),
        ("", ","),
    ],
)
def test_the_delimiter_that_cuts_all_lines_alike_is_found(text: str, delimiter: str) -> None:
    assert find_delimiter(text) == delimiter


def test_an_unclosed_quote_names_its_row() -> None:
    with pytest.raises(ParseError, match="row 3") as caught:
        table_of('a,b\n1,2\n3,"' + "x" * 200, limits=ParseLimits(table_field_chars_max=100))
    assert caught.value.code is ParseErrorCode.PARSE_FAILED


def test_a_field_beyond_the_limit_of_the_csv_module_is_read() -> None:
    assert len(table_of("a\n" + "x" * 200_000).text) > 200_000


def test_too_many_cells_are_refused() -> None:
    with pytest.raises(ParseError) as caught:
        table_of("a,b\n" * 100, limits=ParseLimits(table_cells_max=100))
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_table_or_nothing(text: str) -> None:
    parsed = table_of(text)
    assert [parsed.text[table.start : table.end] for table in parsed.tables] == ([parsed.text] if parsed.text else [])
