"""The writer's spans are true for whatever was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.text import ParsedText, TextFormat
from knowledge.writer import TextWriter


def finished(writer: TextWriter) -> ParsedText:
    return writer.finish(parser="test", title=None, language=None)


def test_blocks_are_apart_and_list_items_together() -> None:
    writer = TextWriter(TextFormat.MARKDOWN, ParseLimits())
    writer.heading(2, "The \n mill")
    writer.paragraph("It grinds.")
    writer.list_item("wheat")
    writer.list_item("rye", marker="2.", depth=1)
    writer.paragraph("  ")
    writer.table([["a", "b"], ["1"]])
    assert finished(writer).text == (
        "## The mill\n\nIt grinds.\n\nwheat\n  2. rye\n\n| a | b |\n| --- | --- |\n| 1 |  |"
    )


def test_a_plain_text_has_headings_without_marks() -> None:
    writer = TextWriter(TextFormat.PLAIN, ParseLimits())
    writer.heading(1, "石磨 养护")
    parsed = finished(writer)
    assert parsed.text == "石磨养护"
    assert [(heading.level, heading.text, heading.start) for heading in parsed.headings] == [(1, "石磨养护", 0)]


def test_pages_reach_to_the_next_and_blank_ones_stay() -> None:
    writer = TextWriter(TextFormat.PLAIN, ParseLimits())
    writer.turn_to_page(1)
    writer.paragraph("one")
    writer.turn_to_page(2)
    writer.turn_to_page(3)
    writer.paragraph("three")
    writer.leave_pages()
    writer.paragraph("footnote")
    parsed = finished(writer)
    assert [(page.number, parsed.text[page.start : page.end]) for page in parsed.pages] == [
        (1, "one\n\n"),
        (2, ""),
        (3, "three"),
    ]
    assert parsed.page_of(parsed.text.index("three")) == 3
    assert parsed.page_of(parsed.text.index("footnote")) is None


@pytest.mark.parametrize(
    "limits",
    [ParseLimits(text_bytes_max=20), ParseLimits(table_cells_max=3), ParseLimits(pages_max=1)],
)
def test_limits_end_the_writing(limits: ParseLimits) -> None:
    writer = TextWriter(TextFormat.PLAIN, limits)

    def write_four_pages() -> None:
        for number in range(1, 5):
            writer.turn_to_page(number)
            writer.table([["面粉", "石磨"]])

    with pytest.raises(ParseError) as caught:
        write_four_pages()
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


TEXTS = st.text(st.characters())
WRITES = st.one_of(
    st.tuples(st.just("paragraph"), TEXTS),
    st.tuples(st.just("verbatim"), TEXTS),
    st.tuples(st.just("heading"), st.integers(-1, 9), TEXTS),
    st.tuples(st.just("list_item"), TEXTS),
    st.tuples(st.just("table"), st.lists(st.lists(TEXTS, max_size=3), max_size=3)),
    st.tuples(st.just("turn_to_page"), st.integers(1, 5)),
    st.tuples(st.just("leave_pages")),
)


@given(st.lists(WRITES), st.sampled_from(TextFormat))
def test_every_span_says_what_was_written(writes: list[tuple[str, *tuple[object, ...]]], form: TextFormat) -> None:
    writer = TextWriter(form, ParseLimits())
    for name, *arguments in writes:
        getattr(writer, name)(*arguments)
    parsed = finished(writer)
    for heading in parsed.headings:
        assert parsed.text[heading.start :].lstrip("# ").startswith(heading.text.lstrip("# "))
    for table in parsed.tables:
        lines = parsed.text[table.start : table.end].split("\n")
        assert len(lines) == table.rows + 1
        assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    starts = [page.start for page in parsed.pages]
    assert starts == sorted(starts)
    assert all(0 <= page.start <= page.end <= len(parsed.text) for page in parsed.pages)
    assert ParsedText.decode(parsed.encode()) == parsed
