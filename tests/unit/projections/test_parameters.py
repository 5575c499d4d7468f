"""Query parameters: unknown, repeated and ill-formed ones are refused by name."""

import pytest

from domain.status import TaskPhase
from projections.errors import InvalidQuery
from projections.feed import FeedPosition
from projections.parameters import Parameters
from projections.places import Place

KNOWN = frozenset({"limit", "cursor", "status", "name", "wait", "last_event_id"})


def asked(**values: str) -> Parameters:
    return Parameters(values.items(), known=KNOWN)


def test_what_is_left_out_has_its_default() -> None:
    assert (asked().limit(), asked().wait_s(), asked().text("cursor"), asked().name()) == (50, 0, None, None)
    assert asked().choice("status", TaskPhase) is None


def test_an_unknown_parameter_is_refused_by_name() -> None:
    with pytest.raises(InvalidQuery) as caught:
        Parameters([("limt", "5")], known=KNOWN)
    assert caught.value.pointer == "/limt"


def test_a_repeated_parameter_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="twice"):
        Parameters([("limit", "5"), ("limit", "6")], known=KNOWN)


@pytest.mark.parametrize("text", ["0", "201", "-1", "1.5", "", "٣", "1e2", "9" * 30, " 5"])
def test_a_limit_out_of_its_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        asked(limit=text).limit()
    assert caught.value.pointer == "/limit"


def test_limits_at_the_ends_of_the_range_are_taken() -> None:
    assert (asked(limit="1").limit(), asked(limit="200").limit(), asked(wait="60").wait_s()) == (1, 200, 60)


def test_a_wait_of_more_than_a_minute_is_refused() -> None:
    with pytest.raises(InvalidQuery):
        asked(wait="61").wait_s()


def test_a_status_is_one_of_its_words() -> None:
    assert asked(status="partial").choice("status", TaskPhase) is TaskPhase.PARTIAL
    with pytest.raises(InvalidQuery, match="queued"):
        asked(status="Partial").choice("status", TaskPhase)


def test_a_name_has_one_to_200_characters() -> None:
    assert asked(name="手册").name() == "手册"
    for name in ("", "x" * 201):
        with pytest.raises(InvalidQuery):
            asked(name=name).name()


def test_the_header_tells_better_where_to_resume_than_the_address() -> None:
    assert asked(last_event_id="5-1").last_event_id("7-2") == Place((FeedPosition(7, 2),))
    assert asked(last_event_id="5-1").last_event_id(None) == Place((FeedPosition(5, 1),))


@pytest.mark.parametrize(
    "text", ["", "5", "5-", "-5", "5-x", "5-1-1", "-", "٣-١", "9" * 21 + "-0", "9" * 20 + "-0", f"0-{2**64 - 1}"]
)
def test_an_id_that_no_feed_gave_out_leads_to_a_fresh_start(text: str) -> None:
    assert asked().last_event_id(text) is None
