"""How what waits is shared among the pipelines that are free to fly."""

from hypothesis import given
from hypothesis import strategies as st

from events.redis_batching import FLIGHTS_MAX, PART_CALLS_MIN, share_of


def shares(waiting: int, free: int) -> list[int]:
    found: list[int] = []
    while waiting and free:
        found.append(share_of(waiting, free))
        waiting, free = waiting - found[-1], free - 1
    return found


def test_few_calls_fly_together() -> None:
    assert shares(PART_CALLS_MIN + 1, FLIGHTS_MAX) == [PART_CALLS_MIN + 1]


def test_many_calls_use_every_free_pipeline() -> None:
    assert shares(200, 4) == [50, 50, 50, 50]
    assert shares(200, 1) == [200]


@given(st.integers(1, 10_000), st.integers(1, FLIGHTS_MAX))
def test_everything_flies_in_equal_parts_and_none_is_a_mere_handful(waiting: int, free: int) -> None:
    found = shares(waiting, free)
    assert sum(found) == waiting
    assert max(found) - min(found) <= 1
    assert len(found) == 1 or min(found) >= PART_CALLS_MIN
