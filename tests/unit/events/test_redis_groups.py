"""Which calls go together as one."""

from itertools import count, groupby
from operator import attrgetter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from events.redis_groups import GROUP_BYTES_MAX, GROUP_CALLS_MAX, Shared, grouped, side_by_side

SHARED = [Shared((f"log {one}",), ()) for one in range(3)]


class Call(NamedTuple):
    number: int
    shared: Shared | None
    size_bytes: int


def calls(shared: list[Shared | None], sizes: list[int]) -> list[Call]:
    return [Call(number, one, size) for number, (one, size) in enumerate(zip(shared, sizes, strict=False))]


CALLS = st.builds(
    calls,
    st.lists(st.sampled_from([None, *SHARED]), max_size=300),
    st.lists(st.integers(0, GROUP_BYTES_MAX // 2) | st.integers(0, 2 * GROUP_BYTES_MAX), min_size=300, max_size=300),
)


@given(CALLS)
def test_each_call_goes_once_and_in_its_turn_among_those_that_it_goes_with(asked: list[Call]) -> None:
    groups = grouped(asked)
    assert sorted(one.number for group in groups for one in group) == [one.number for one in asked]
    for shared in (None, *SHARED):
        numbers = [one.number for group in groups for one in group if one.shared is shared]
        assert numbers == sorted(numbers)


@given(CALLS)
def test_only_what_shares_something_goes_together_and_no_more_than_the_server_is_held_up_for(asked: list[Call]) -> None:
    for group in grouped(asked):
        assert len({id(one.shared) for one in group}) == 1
        assert len(group) == 1 or group[0].shared is not None
        assert len(group) <= GROUP_CALLS_MAX
        assert len(group) == 1 or sum(one.size_bytes for one in group) <= GROUP_BYTES_MAX


@given(st.integers(0, 4 * GROUP_CALLS_MAX))
def test_small_calls_fill_their_groups(count: int) -> None:
    asked = calls([SHARED[one % 2] for one in range(2 * count)], [100] * 2 * count)
    assert len(grouped(asked)) == 2 * -(-count // GROUP_CALLS_MAX)


class Waits(NamedTuple):
    near: str
    number: int


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_calls_near_the_same_key_come_to_lie_side_by_side_in_their_order(keys: list[str]) -> None:
    waiting = [Waits(key, number) for number, key in enumerate(keys)]
    found = side_by_side(waiting)
    assert sorted(found, key=attrgetter("number")) == waiting
    runs = [(key, [one.number for one in run]) for key, run in groupby(found, key=attrgetter("near"))]
    assert len(runs) == len(set(keys))
    assert all(numbers == sorted(numbers) for _, numbers in runs)
    assert [numbers[0] for _, numbers in runs] == sorted(numbers[0] for _, numbers in runs)


def test_what_never_ends_near_one_key_holds_up_no_other_for_ever() -> None:
    numbers = count()
    waiting = [Waits("a", next(numbers)) for _ in range(30)]
    waiting.append(Waits("z", next(numbers)))
    for rounds in count(1):
        waiting = side_by_side(waiting)
        sent, waiting = waiting[:10], [*waiting[10:], *(Waits("a", next(numbers)) for _ in range(10))]
        if any(one.near == "z" for one in sent):
            break
        assert rounds < 10
