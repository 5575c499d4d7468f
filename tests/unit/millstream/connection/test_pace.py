"""How long the body of a request is waited for."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import ProblemCode
from millstream.connection.limits import ConnectionLimits
from millstream.connection.pace import Pace

LIMITS = ConnectionLimits(body_silence_s_max=30.0, body_bytes_per_s_min=1_000, json_body_s_max=45.0)


def begun(*, is_json: bool = False) -> Pace:
    return Pace(LIMITS, 0.0, is_json=is_json)


def is_late(pace: Pace, now_s: float) -> bool:
    late = pace.verdict(now_s)
    assert late is None or late.code is ProblemCode.REQUEST_TIMEOUT
    return late is not None


def test_silence_ends_a_body() -> None:
    pace = begun()
    pace.take(1_000_000, 10.0)
    assert not is_late(pace, 39.9)
    assert is_late(pace, 40.0)


def test_a_byte_now_and_then_is_no_way_around() -> None:
    pace = begun()
    for second in range(30):
        pace.take(1, second)
        assert not is_late(pace, second)
    assert is_late(pace, 30.0)


def test_a_burst_does_not_pay_for_the_next_window() -> None:
    pace = begun()
    pace.take(100_000_000, 1.0)
    pace.take(1, 29.0)
    assert not is_late(pace, 30.0)
    for second in range(31, 60):
        pace.take(1, second)
        assert not is_late(pace, second)
    assert is_late(pace, 60.0)


def test_a_slow_store_is_not_the_clients_delay() -> None:
    pace = begun(is_json=True)
    pace.take(100_000, 1.0)
    pace.pause(2.0)
    assert not is_late(pace, 10_000.0)
    pace.resume(10_002.0)
    assert not is_late(pace, 10_030.9)
    assert is_late(pace, 10_031.0)


def test_json_has_to_be_whole_in_time_however_fast_it_comes() -> None:
    pace, file = begun(is_json=True), begun()
    for second in range(46):
        pace.take(5_000, second)
        file.take(5_000, second)
        assert is_late(pace, second) == (second == 45)
        assert not is_late(file, second)


@given(st.lists(st.tuples(st.floats(0.01, 29.0), st.booleans()), max_size=60))
def test_whoever_sends_fast_enough_is_never_late(steps: list[tuple[float, bool]]) -> None:
    pace, now_s = begun(), 0.0
    for gap_s, is_paused in steps:
        if is_paused:
            pace.pause(now_s)
        now_s += gap_s
        pace.resume(now_s)
        pace.take(int(gap_s * LIMITS.body_bytes_per_s_min) + 1, now_s)
        assert not is_late(pace, now_s)
