"""Pages that somebody else read become a text that later steps can trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.cleaning import clean
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.page_texts import PageText, parsed_from_pages
from knowledge.text import TextFormat

LIMITS = ParseLimits()


@given(st.lists(st.text(min_size=1).filter(lambda text: clean(text).strip()), min_size=1, max_size=5))
def test_every_page_has_its_span_and_the_text_is_clean(texts: list[str]) -> None:
    pages = [PageText(2 * place + 1, text) for place, text in enumerate(texts)]

    parsed = parsed_from_pages(pages, TextFormat.PLAIN, LIMITS)

    assert clean(parsed.text) == parsed.text
    assert [page.number for page in parsed.pages] == [page.number for page in pages]
    for page, text in zip(parsed.pages, texts, strict=True):
        assert parsed.text[page.start : page.end].strip() == clean(text).strip()


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (0, 1), (1, 0), (-1, 1)])
def test_pages_that_do_not_rise_are_no_pages(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        parsed_from_pages([PageText(number, "text") for number in numbers], TextFormat.PLAIN, LIMITS)


@pytest.mark.parametrize("pages", [[], [PageText(1, " \n ")], [PageText(0, "\ufeff\x00")]])
def test_no_text_is_no_text(pages: list[PageText]) -> None:
    with pytest.raises(ParseError) as raised:
        parsed_from_pages(pages, TextFormat.PLAIN, LIMITS)
    assert raised.value.code is ParseErrorCode.NO_TEXT


def test_a_text_over_the_limit_is_refused() -> None:
    with pytest.raises(ParseError) as raised:
        parsed_from_pages([PageText(0, "a" * 11)], TextFormat.PLAIN, ParseLimits(text_bytes_max=10))
    assert raised.value.code is ParseErrorCode.RESOURCE_LIMIT


def test_markdown_has_its_headings_and_a_title() -> None:
    parsed = parsed_from_pages([PageText(1, "# 磨坊\n\n石磨每两周修一次。")], TextFormat.MARKDOWN, LIMITS)

    assert (parsed.title, parsed.language, [one.text for one in parsed.headings]) == ("磨坊", "zh", ["磨坊"])
