"""Text that was read off pictures finds its page, and every other span moves along."""

from hypothesis import given
from hypothesis import strategies as st

from knowledge.limits import ParseLimits
from knowledge.pictures import with_page_texts
from knowledge.text import ParsedText, TextFormat
from knowledge.writer import TextWriter


def paper(pages: list[str]) -> ParsedText:
    """A heading, the text and a table on each page that has any."""
    writer = TextWriter(TextFormat.PLAIN, ParseLimits())
    for number, text in enumerate(pages, 1):
        writer.turn_to_page(number)
        if text:
            writer.heading(1, f"Heading {number}")
            writer.paragraph(text)
            writer.table([["a", str(number)]])
    return writer.finish(parser="test", title=None, language=None)


@given(st.lists(st.sampled_from(["", "words", "more words"]), min_size=1, max_size=6), st.sets(st.integers(1, 6)))
def test_every_span_still_holds_what_it_held(pages: list[str], scanned: set[int]) -> None:
    before = paper(pages)
    after = with_page_texts(before, {number: f"scan {number}" for number in scanned})
    for old, new in zip(before.pages, after.pages, strict=True):
        text = after.text[new.start : new.end]
        assert (f"scan {new.number}" in text) == (new.number in scanned)
        assert before.text[old.start : old.end].strip() in text
    for heading in after.headings:
        assert after.text[heading.start :].startswith(heading.text)
        assert after.page_of(heading.start) == int(heading.text.split()[1])
    for old_table, new_table in zip(before.tables, after.tables, strict=True):
        held = before.text[old_table.start : old_table.end]
        assert after.text[new_table.start : new_table.end] == held
