"""Pages are read however deep their elements lie in one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.html import WRAPPERS_MAX, flattened, shows_text
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse

TAGS = ["<div>", "</div>", "<span class='a'>", "</span>", "<p>", "mill", "<br>", "<DIV\n>", "</div >"]


@pytest.mark.parametrize("depth", [1, 60, 90, 5_000])
@pytest.mark.parametrize("is_closed", [True, False])
def test_no_text_is_lost_in_the_depth(depth: int, is_closed: bool) -> None:
    end = "</div>" * depth if is_closed else ""
    page = f"<html><body><h1>First</h1>{'<div>' * depth}<p>The mill turns.</p>{end}<p>Last</p></body></html>"
    parsed = parse(page.encode(), MediaType.HTML, "a.html", ParseLimits())
    assert "The mill turns." in parsed.text
    assert parsed.text.endswith("Last")
    assert parsed.headings[0].text == "First"


@given(st.lists(st.sampled_from(TAGS), max_size=200))
def test_only_wrappers_go_and_only_deep_ones(pieces: list[str]) -> None:
    page = "".join(pieces)
    flat = flattened(page)
    assert flat.count("mill") == page.count("mill")
    assert flat.count("<p>") == page.count("<p>")
    if page.lower().count("<div") + page.count("<span") <= WRAPPERS_MAX:
        assert flat == page


def test_what_a_browser_does_not_show_is_no_text() -> None:
    assert shows_text(b"<html><head><title>t</title></head><p>Mill")
    assert not shows_text(b"<head><title>t</title></head><script>x()</script><!-- y --><p><img src='a'></p><style>z")
