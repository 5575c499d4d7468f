"""When a failed attempt is made again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.retry import OUTAGE_CODES, RetryPolicy, after_outage, next_attempt

RANDOMS = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    RetryPolicy,
    attempts_max=st.integers(1, 100),
    base_s=st.floats(0.001, 60),
    cap_s=st.floats(60, 86_400),
    retry_after_s_max=st.floats(0, 86_400),
)


@given(POLICIES, st.integers(1, 200), RANDOMS)
def test_an_attempt_follows_exactly_until_the_last_one(policy: RetryPolicy, counted: int, random: float) -> None:
    assert (next_attempt(policy, counted, None, random) is None) == (counted >= policy.attempts_max)


@given(POLICIES, st.integers(1, 10_000), RANDOMS)
def test_a_delay_stays_below_its_ceiling(policy: RetryPolicy, outages: int, random: float) -> None:
    delay_s = after_outage(policy, outages, None, random)
    assert 0 <= delay_s <= policy.cap_s
    assert delay_s <= policy.base_s * 2.0 ** min(outages - 1, 900)


@given(POLICIES, st.integers(1, 100))
def test_jitter_is_full_and_ceilings_never_fall(policy: RetryPolicy, outages: int) -> None:
    assert after_outage(policy, outages, None, 0.0) == 0.0
    almost_one = 0.999
    assert after_outage(policy, outages, None, almost_one) <= after_outage(policy, outages + 1, None, almost_one)


@given(POLICIES, st.integers(1, 100), st.floats(0, 1e9), RANDOMS)
def test_nothing_is_sent_inside_the_time_that_a_provider_forbade(
    policy: RetryPolicy, outages: int, retry_after_s: float, random: float
) -> None:
    delay_s = after_outage(policy, outages, retry_after_s, random)
    assert delay_s >= min(retry_after_s, policy.retry_after_s_max)
    assert delay_s <= max(policy.cap_s, policy.retry_after_s_max + policy.base_s)


def test_the_default_waits_at_most_1_2_4_8_seconds_and_gives_up_at_the_fifth() -> None:
    policy = RetryPolicy()
    assert [next_attempt(policy, n, None, 0.5) for n in range(1, 6)] == [0.5, 1.0, 2.0, 4.0, None]


@pytest.mark.parametrize("retry_after_s", [301.0, 86_400.0, float("inf")])
def test_a_provider_cannot_ask_for_more_than_five_minutes(retry_after_s: float) -> None:
    assert next_attempt(RetryPolicy(), 1, retry_after_s, 0.0) == 300.0


def test_a_full_or_silent_store_is_an_outage_and_a_broken_document_is_none() -> None:
    assert {"log_unavailable", "blob_store_unavailable", "index_unavailable"} <= OUTAGE_CODES
    assert not {"internal_error", "parser_crashed", "time_limit", "poison_document"} & OUTAGE_CODES
