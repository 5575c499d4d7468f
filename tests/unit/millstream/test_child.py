"""A supervised child: how long it waits before it starts again, and that it ends when it is told to."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from millstream.child import BACKOFF_S_MAX, BACKOFF_S_MIN, Child, ChildSpec, backoff_s


def test_the_first_restarts_double_their_pause() -> None:
    assert [backoff_s(failures) for failures in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]


@given(st.integers(1, 10**9))
def test_a_pause_never_shrinks_and_never_exceeds_its_limit(failures: int) -> None:
    assert BACKOFF_S_MIN <= backoff_s(failures) <= backoff_s(failures + 1) <= BACKOFF_S_MAX


def test_the_longest_pause_is_reached() -> None:
    assert backoff_s(7) == BACKOFF_S_MAX


async def test_a_child_that_was_never_started_stops_at_once() -> None:
    child = Child(ChildSpec(name="none", arguments=()), {}, lambda _: None)
    assert (child.pid, child.is_running) == (0, False)
    await child.stop(within_s=60)
    await asyncio.wait_for(child.keep_running(), 20)
    assert child.restarts == 0


async def test_a_child_is_announced_with_its_pid_and_stopped_while_it_waits_to_start_again() -> None:
    """`--version` ends by itself at once, so the child stands in its pause when `stop` comes."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    child = Child(ChildSpec(name="brief", arguments=("--version",), detail="says it"), {}, lines.put_nowait)
    keeper = asyncio.create_task(child.keep_running())
    first = await asyncio.wait_for(lines.get(), 10)
    assert first.split() == ["brief", "pid", str(child.pid), "says", "it"]
    again = await asyncio.wait_for(lines.get(), 10)
    assert again != first
    await child.stop(within_s=10)
    await asyncio.wait_for(keeper, 20)
    assert child.restarts >= 1
    assert not child.is_running
