"""ParsedText finds the page and the headings of an offset, and survives its blob."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.text import Heading, Page, ParsedText, TextFormat

TEXT = ParsedText(
    text="x" * 100,
    pages=(Page(number=1, start=0, end=40), Page(number=2, start=40, end=40), Page(number=3, start=40, end=90)),
    headings=(
        Heading(level=1, text="Mill", start=5),
        Heading(level=3, text="Stones", start=10),
        Heading(level=2, text="Rolls", start=30),
        Heading(level=1, text="Silo", start=60),
    ),
)


@pytest.mark.parametrize(("offset", "page"), [(0, 1), (39, 1), (40, 3), (89, 3), (90, None), (99, None)])
def test_an_offset_lies_on_one_page(offset: int, page: int | None) -> None:
    assert TEXT.page_of(offset) == page


def test_a_text_without_pages_has_no_page() -> None:
    assert ParsedText(text="abc").page_of(1) is None


@pytest.mark.parametrize(
    ("offset", "path"),
    [(0, ()), (5, ("Mill",)), (12, ("Mill", "Stones")), (35, ("Mill", "Rolls")), (70, ("Silo",))],
)
def test_headings_are_named_outermost_first(offset: int, path: tuple[str, ...]) -> None:
    assert TEXT.heading_path(offset) == path


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(TextFormat), st.none() | st.just("标题"))
def test_a_text_survives_its_blob(text: str, text_format: TextFormat, title: str | None) -> None:
    parsed = ParsedText(text=text, format=text_format, title=title, headings=TEXT.headings, pages=TEXT.pages)
    assert ParsedText.decode(parsed.encode()) == parsed


NESTED = b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0"
"""A member that nobody knows, far deeper than msgspec goes: its error is none of msgspec's."""


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x80", TEXT.encode()[:-1], b"\x81\xa4text\x01", NESTED])
def test_a_damaged_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        ParsedText.decode(blob)
    assert caught.value.code is ParseErrorCode.PARSE_FAILED
