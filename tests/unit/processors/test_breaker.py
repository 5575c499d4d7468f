"""The circuit breaker."""

from hypothesis import given
from hypothesis import strategies as st

from processors.breaker import (
    FAILURES_MAX,
    OPEN_US,
    PROBE_US,
    Breaker,
    Closed,
    HalfOpen,
    Open,
    at,
    called,
    failed,
    succeeded,
    wait_us,
)

NOW = 1_000_000_000


def broken() -> Breaker:
    breaker: Breaker = Closed()
    for _ in range(FAILURES_MAX):
        breaker = failed(breaker, NOW)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    assert failed(Closed(FAILURES_MAX - 2), NOW) == Closed(FAILURES_MAX - 1)
    assert broken() == Open(NOW + OPEN_US)
    assert succeeded(Closed(FAILURES_MAX - 1), NOW) == Closed(0)


def test_an_open_one_lets_nothing_through_until_its_time() -> None:
    assert wait_us(broken(), NOW) == OPEN_US
    assert wait_us(broken(), NOW + OPEN_US - 1) == 1
    assert wait_us(broken(), NOW + OPEN_US) == 0


def test_a_half_open_one_lets_one_probe_through_at_a_time() -> None:
    later = NOW + OPEN_US
    probing = called(broken(), later)
    assert probing == HalfOpen(later + PROBE_US)
    assert wait_us(probing, later) == PROBE_US
    assert wait_us(probing, later + PROBE_US) == 0


def test_a_probe_closes_or_opens_it() -> None:
    later = NOW + OPEN_US
    probing = called(broken(), later)
    assert succeeded(probing, later) == Closed()
    assert failed(probing, later) == Open(later + OPEN_US)


def test_calls_from_before_it_opened_say_nothing() -> None:
    assert succeeded(broken(), NOW + 1) == broken()
    assert failed(broken(), NOW + 1) == broken()


@given(
    st.lists(st.tuples(st.integers(0, 3_000_000), st.booleans(), st.integers(1, 8)), max_size=60),
)
def test_a_provider_that_always_fails_is_asked_twice_a_second_at_most(
    steps: list[tuple[int, bool, int]],
) -> None:
    """Many workers ask at odd times; some calls fail late."""
    breaker, now_us, probes, late = broken(), NOW, list[int](), 0
    for pause_us, is_slow, asking in steps:
        now_us += pause_us
        for _ in range(asking):
            if wait_us(breaker, now_us) > 0:
                continue
            assert not isinstance(at(breaker, now_us), Closed)
            breaker = called(breaker, now_us)
            probes.append(now_us)
            if is_slow:
                late += 1
            else:
                breaker = failed(breaker, now_us)
        for _ in range(late):
            breaker = failed(breaker, now_us)
        late = 0
    for start in probes:
        assert sum(start <= probe < start + 1_000_000 for probe in probes) <= 2
