"""Trace context: taken over in its form alone, and belonging to what is done meanwhile."""

import pytest

from events.trace_context import parse_trace_parent, trace_parent, traced_by

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_parent_is_taken_over_untouched() -> None:
    assert parse_trace_parent(GOOD) == GOOD


def test_what_a_later_version_puts_behind_it_is_left_out() -> None:
    assert parse_trace_parent("01" + GOOD[2:] + "-what-comes") == "01" + GOOD[2:]


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "x" * 55,
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        "ff" + GOOD[2:],
        "00-" + "0" * 32 + GOOD[35:],
        GOOD[:36] + "0" * 16 + "-01",
        "01" + GOOD[2:] + "-" + "x" * 65,
        "01" + GOOD[2:] + "-\x00",
    ],
)
def test_what_is_no_parent_is_as_good_as_none(offered: str) -> None:
    assert parse_trace_parent(offered) is None


def test_the_parent_is_that_of_the_innermost() -> None:
    assert trace_parent() is None
    with traced_by(GOOD):
        with traced_by(None):
            assert trace_parent() is None
        assert trace_parent() == GOOD
    assert trace_parent() is None
