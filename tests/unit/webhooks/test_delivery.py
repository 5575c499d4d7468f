"""What follows from an attempt, and how a delivery is named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import InvalidId
from tests.webhook_samples import T0_US, attempt, delivery, webhook_id
from webhooks.delivery import (
    ATTEMPTS_KEPT,
    Again,
    Attempt,
    Channel,
    Delivery,
    DeliveryState,
    Ended,
    after_attempt,
    callback_channel,
    delivery_id,
    given_up,
    parse_delivery_id,
    partition_of,
    sent_anew,
)
from webhooks.schedule import Schedule

PENDING = delivery()


def follows(tried: Attempt, before: Delivery = PENDING, *, retry_after_s: float | None = None) -> Ended | Again:
    return after_attempt(before, tried, Schedule(), retry_after_s=retry_after_s, random=0.5, now_us=T0_US)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_means_that_it_arrived(status: int) -> None:
    outcome = follows(attempt(1, status))
    assert isinstance(outcome, Ended)
    assert (outcome.delivery.state, outcome.delivery.ended_at_us) == (DeliveryState.DELIVERED, T0_US)
    assert outcome.delivery.next_attempt_at_us is None


@pytest.mark.parametrize("status", [100, 301, 302, 303, 307, 308, 400, 401, 404, 429, 500, 503, 599, None])
def test_everything_else_is_tried_again_redirects_too(status: int | None) -> None:
    outcome = follows(attempt(1, status, error=None if status else "fetch_failed"))
    assert isinstance(outcome, Again)
    assert outcome.delay_s == 5
    assert (outcome.delivery.state, outcome.delivery.tries) == (DeliveryState.PENDING, 1)
    assert outcome.delivery.next_attempt_at_us == T0_US + 5_000_000


def test_410_ends_it_at_once() -> None:
    outcome = follows(attempt(1, 410))
    assert isinstance(outcome, Ended)
    assert outcome.delivery.state is DeliveryState.FAILED


@pytest.mark.parametrize(("status", "delay_s"), [(429, 77), (503, 77), (500, 5), (404, 5)])
def test_429_and_503_alone_may_ask_to_wait(status: int, delay_s: float) -> None:
    outcome = follows(attempt(1, status), retry_after_s=77)
    assert isinstance(outcome, Again)
    assert outcome.delay_s == delay_s


def test_the_eighth_failure_is_the_last() -> None:
    before, delays = PENDING, list[float]()
    for number in range(1, 9):
        outcome = follows(attempt(number, 500), before)
        before = outcome.delivery
        if isinstance(outcome, Again):
            delays.append(outcome.delay_s)
    assert delays == [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
    assert (before.state, len(before.attempts), before.next_number) == (DeliveryState.FAILED, 8, 9)


def test_one_that_is_sent_anew_has_its_id_and_the_whole_schedule_before_it() -> None:
    failed = given_up(msgspec.structs.replace(PENDING, tries=8, attempts=(attempt(8, 500),)), "x", T0_US)
    again = sent_anew(failed, T0_US + 5)
    assert (again.id, again.state, again.tries, again.error) == (PENDING.id, DeliveryState.PENDING, 0, None)
    assert (again.next_number, again.next_attempt_at_us, again.ended_at_us) == (9, T0_US + 5, None)


def test_no_more_attempts_are_remembered_than_there_is_room_for() -> None:
    before = PENDING
    for number in range(1, 3 * ATTEMPTS_KEPT):
        before = sent_anew(follows(attempt(number, 500), before).delivery, T0_US)
    assert len(before.attempts) == ATTEMPTS_KEPT
    assert before.next_number == 3 * ATTEMPTS_KEPT


@given(number=st.integers(0, 1 << 60), partition=st.integers(0, 255))
def test_an_id_follows_from_subscription_and_event_and_names_its_partition(number: int, partition: int) -> None:
    named = delivery_id(webhook_id(1), f"{number:032x}", partition)
    assert named == delivery_id(webhook_id(1), f"{number:032x}", partition)
    assert named != delivery_id(webhook_id(2), f"{number:032x}", partition)
    assert parse_delivery_id(named, 256) == named
    assert partition_of(named) == partition
    assert "." not in named, "what is signed is separated by full stops"


@pytest.mark.parametrize(
    "text", ["", "msg_", "msg_00" + "g" * 32, "hook_" + "0" * 34, "msg_08" + "0" * 32, "msg_00" + "0" * 32 + "\n"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        parse_delivery_id(text, 8)


def test_members_sort_by_time() -> None:
    times = [0, 9, 10, T0_US, T0_US * 100]
    members = [delivery(created_at_us=at).member for at in times]
    assert sorted(members) == members


def test_callbacks_to_one_origin_queue_up_behind_one_another() -> None:
    one = callback_channel("https://Example.org:8443/a?b")
    assert callback_channel("https://example.org:8443/other#x") == one
    others = {callback_channel(url) for url in ("http://example.org:8443/a", "https://example.org/a", "https://a.b/")}
    assert len({one, *others}) == 4
    assert Channel(one).startswith("call_")
