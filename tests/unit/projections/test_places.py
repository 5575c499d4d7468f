"""Places: what a client sends back is what it was given, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.feed import FeedPosition
from projections.places import AHEAD_MAX, Place

positions = st.builds(FeedPosition, st.integers(0, 2**48), st.integers(0, 2**32))
marks = st.text("0123456789abcdef", min_size=12, max_size=12)
places = st.builds(
    Place,
    st.lists(positions, min_size=1, max_size=9).map(tuple),
    st.dictionaries(marks, st.integers(0, 10**12), max_size=AHEAD_MAX),
)
ROW = "doc_07019a0000000070008000000000000abc"


@given(places)
def test_a_place_comes_back_as_it_was_given(place: Place) -> None:
    assert Place.parse(str(place)) == place
    assert str(place).isascii()
    assert set(str(place)) <= set("0123456789abcdef-_~."), "safe in a header and in an address"


@pytest.mark.parametrize(
    "text",
    ["~", "1-1~", "1-1~abc.1", "1-1_", "_1-1", "1-1~00000000000g.1", "1-1" + "~000000000000.1" * 33, "1-1_" * 9999],
)
def test_what_nobody_gave_out_is_no_place(text: str) -> None:
    assert Place.parse(text) is None


def test_a_place_knows_the_rows_that_were_told_on_top_of_it() -> None:
    place = Place((FeedPosition(1, 0),)).with_told([(ROW, 4)])
    assert place is not None
    assert [place.knows(ROW, version) for version in (3, 4, 5)] == [True, True, False]
    assert not place.knows(ROW.replace("abc", "abd"), 1)
    assert place.with_told((f"doc_{number}", 1) for number in range(AHEAD_MAX)) is None
