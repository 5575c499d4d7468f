"""When a message is sent again: the published schedule, a fifth of chance, and what the endpoint asks for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhook_samples import T0_US
from webhooks.schedule import DELAYS_S, JITTER, RETRY_AFTER_S_MAX, Schedule, retry_after_s

CHANCE = st.floats(0, 1, exclude_max=True)
FIRSTS = st.floats(0.001, 60)
T0 = datetime.fromtimestamp(T0_US / 1_000_000, UTC)


def test_the_schedule_is_the_one_of_the_specification_and_takes_a_day() -> None:
    delays = [Schedule().delay_s(tries, 0.5) for tries in range(1, 8)]
    assert delays == [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
    assert 24 <= sum(DELAYS_S) / 3_600 <= 28


@given(tries=st.integers(8, 100), random=CHANCE, asked=st.none() | st.floats(0, 1e6))
def test_behind_the_last_attempt_none_follows_whatever_the_endpoint_asks_for(
    tries: int, random: float, asked: float | None
) -> None:
    assert Schedule().delay_s(tries, random, asked) is None


@given(tries=st.integers(1, 7), random=CHANCE, first_s=FIRSTS)
def test_a_delay_differs_from_the_published_one_by_a_fifth_at_most(tries: int, random: float, first_s: float) -> None:
    published = DELAYS_S[tries - 1] * first_s / 5
    delay_s = Schedule(first_s).delay_s(tries, random)
    assert delay_s is not None
    assert published * (1 - JITTER) * 0.999 <= delay_s <= published * (1 + JITTER) * 1.001


def test_what_failed_together_comes_back_apart() -> None:
    assert Schedule().delay_s(1, 0.0) == 4
    assert Schedule().delay_s(1, 0.999_999) == pytest.approx(6, abs=0.001)


@given(tries=st.integers(1, 7), low=CHANCE, high=CHANCE)
def test_chance_spreads_delays(tries: int, low: float, high: float) -> None:
    one, other = sorted((low, high))
    assert (Schedule().delay_s(tries, one) or 0) <= (Schedule().delay_s(tries, other) or 0)


@given(tries=st.integers(1, 7), random=CHANCE, asked=st.floats(0, 1e9))
def test_an_endpoint_is_not_called_earlier_than_it_asks_for_up_to_the_longest_delay(
    tries: int, random: float, asked: float
) -> None:
    delay_s = Schedule().delay_s(tries, random, asked)
    assert delay_s is not None
    assert delay_s >= min(asked, RETRY_AFTER_S_MAX)
    assert delay_s >= (Schedule().delay_s(tries, random) or 0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0),
        (" 120 ", 120),
        ("9" * 400, RETRY_AFTER_S_MAX),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
        ("Mon, 01 Jan 1990 00:00:00 GMT", 0),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_of_its_forms(value: str | None, seconds: float | None) -> None:
    assert T0.isoformat() == "2023-11-14T22:13:20+00:00"
    assert retry_after_s(value, T0_US) == seconds


@given(st.text(max_size=60))
def test_whatever_stands_in_retry_after_is_survived(value: str) -> None:
    assert (retry_after_s(value, T0_US) or 0) >= 0
