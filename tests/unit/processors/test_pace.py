"""Limits per minute."""

from hypothesis import given
from hypothesis import strategies as st

from processors.pace import BURST_SHARE, MINUTE_US, RESERVED_LIMIT_MIN, charge_of, charged, wait_us

LIMITS = st.integers(1, 100_000)


def grants(
    limit: int, amounts: list[int], pauses_us: list[int], *, may_use_reserve: bool = True
) -> list[tuple[int, int]]:
    """Somebody who calls as soon as it is let, or a while later: (when, how much)."""
    now_us, paid_until_us, granted = 1_000_000, 0, []
    for amount, pause_us in zip(amounts, pauses_us, strict=False):
        charge = charge_of(limit, amount, may_use_reserve=may_use_reserve)
        assert charge is not None
        now_us += pause_us
        now_us += max(0, wait_us(paid_until_us, charge, now_us))
        paid_until_us = charged(paid_until_us, charge, now_us)
        granted.append((now_us, amount))
    return granted


def most_within_a_minute(granted: list[tuple[int, int]]) -> int:
    return max(sum(n for at, n in granted if start <= at < start + MINUTE_US) for start, _ in granted)


@given(LIMITS, st.data())
def test_no_minute_has_more_than_the_limit(limit: int, data: st.DataObject) -> None:
    burst = max(1, limit // BURST_SHARE)
    amounts = data.draw(st.lists(st.integers(1, burst), min_size=1, max_size=40))
    pauses = data.draw(st.lists(st.integers(0, 2 * MINUTE_US // limit + 1), min_size=40, max_size=40))
    for may_use_reserve in (True, False):
        assert most_within_a_minute(grants(limit, amounts, pauses, may_use_reserve=may_use_reserve)) <= limit


@given(st.integers(1, 200))
def test_who_calls_without_a_pause_uses_the_limit_up(limit: int) -> None:
    granted = grants(limit, [1] * (3 * limit + 1), [0] * (3 * limit + 1))
    used_us = granted[-1][0] - granted[0][0]
    assert most_within_a_minute(granted) == limit
    assert used_us <= 3.5 * MINUTE_US


@given(LIMITS, st.integers(1, 1_000_000))
def test_a_call_that_is_larger_than_the_bucket_waits_for_a_full_one_and_is_paid_for_behind(
    limit: int, amount: int
) -> None:
    charge, whole = charge_of(limit, amount), charge_of(limit, max(1, limit // BURST_SHARE))
    assert charge is not None
    assert whole is not None
    assert wait_us(0, charge, 1) <= 0
    assert charge.credit_us >= whole.credit_us
    assert charge.cost_us >= amount * MINUTE_US // (limit + 1)


@given(st.integers(RESERVED_LIMIT_MIN, 100_000))
def test_bulk_work_that_just_used_all_it_may_leaves_a_call_at_once(limit: int) -> None:
    bulk, other = charge_of(limit, 1), charge_of(limit, 1, may_use_reserve=True)
    assert bulk is not None
    assert other is not None
    now_us, paid_until_us = 1_000_000, 0
    while wait_us(paid_until_us, bulk, now_us) <= 0:
        paid_until_us = charged(paid_until_us, bulk, now_us)
    assert wait_us(paid_until_us, other, now_us) <= 0


def test_no_limit_charges_nothing() -> None:
    assert charge_of(0, 5) is None
