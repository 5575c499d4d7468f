"""Subscriptions: the newest state of each row, bounded, always the last one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.memory import MemoryLog
from projections.changes import ChangeTailer
from projections.errors import TooManyStreams
from projections.memory_views import MemoryViews
from projections.subscription import WAITING_BYTES_MAX, WAITING_MAX, Frame, Subscription, Taken
from tests.projecting import project
from tests.workshop import Workshop

WAIT_MS = 10
"""A stop waits as long."""


def frame(row_id: str, version: int) -> Frame:
    return Frame(row_id, "document", version, False, b"%d" % version)


@given(st.lists(st.one_of(st.just(None), st.tuples(st.integers(0, 3), st.integers(0, 9))), max_size=40))
def test_a_reader_misses_states_but_never_the_last_of_any_row(course: list[tuple[int, int] | None]) -> None:
    """None is the reader taking what waits."""
    subscription, read, offered = Subscription("task", {}), dict[str, int](), dict[str, int]()
    for turn in [*course, None]:
        if turn is None:
            read.update((one.id, one.version) for one in subscription.take().frames)
            continue
        row, version = turn
        subscription.offer(frame(str(row), version))
        offered[str(row)] = version
    assert read == offered


def test_states_of_one_row_take_one_place() -> None:
    subscription = Subscription("task", {})
    for version in range(10 * WAITING_MAX):
        subscription.offer(frame("one", version))
    taken = subscription.take()
    assert [one.version for one in taken.frames] == [10 * WAITING_MAX - 1]
    assert not taken.is_fresh_start


def test_a_reader_that_falls_too_far_behind_begins_anew() -> None:
    subscription = Subscription("task", {})
    for row in range(WAITING_MAX + 5):
        subscription.offer(frame(str(row), 1))
    taken = subscription.take()
    assert (taken.frames, taken.is_fresh_start) == ((), True)
    subscription.offer(frame("later", 1))
    assert [one.id for one in subscription.take().frames] == ["later"]


def test_a_reader_with_too_many_bytes_waiting_begins_anew() -> None:
    subscription = Subscription("task", {})
    large = b"x" * (WAITING_BYTES_MAX // 2)
    for version in range(9):
        subscription.offer(Frame("one", "document", version, False, large))
        subscription.offer(Frame("two", "document", version, False, large))
    assert len(subscription.take().frames) == 2, "what took the place of an older state is counted once"
    for row in ("one", "two", "three"):
        subscription.offer(Frame(row, "document", 1, False, large))
    assert subscription.take() == Taken((), is_fresh_start=True)


async def test_waiting_ends_with_news_or_with_the_time() -> None:
    subscription = Subscription("task", {})
    assert not await subscription.wait(0.001)
    subscription.offer(frame("one", 1))
    assert await subscription.wait(10)
    subscription.take()
    assert not await subscription.wait(0.001)
    subscription.close()
    assert await subscription.wait(10)


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)


async def test_each_change_reaches_those_who_watch_its_task_or_knowledge_base_and_nobody_else() -> None:
    world, stop = World(), asyncio.Event()
    tailer = ChangeTailer(world.views, world.views, wait_ms=WAIT_MS)
    running = asyncio.create_task(tailer.run(stop))
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.submit(knowledge_base)
    other, _ = await world.workshop.submit(knowledge_base)
    await project(world.log, world.views)
    with (
        tailer.watching(task) as of_task,
        tailer.watching(knowledge_base) as of_base,
        tailer.watching(other) as of_other,
    ):
        for subscription in (of_task, of_base, of_other):
            assert await subscription.wait(10)
            assert subscription.take().is_fresh_start, "the tailer has begun just now"
        await world.workshop.parse(documents[0])
        await project(world.log, world.views)
        seen: dict[str, str] = {}
        async with asyncio.timeout(10):
            while len(seen) < 2:
                await of_task.wait(10)
                seen.update((one.id, one.event) for one in of_task.take().frames)
            base_frames: tuple[Frame, ...] = ()
            while not base_frames:
                await of_base.wait(10)
                base_frames = of_base.take().frames
        assert seen == {task: "status", documents[0]: "document"}
        assert [(one.id, one.event) for one in base_frames] == [(knowledge_base, "status")]
        assert of_other.take().frames == ()
        stop.set()
        await running
        assert of_task.is_closed
    assert tailer.count == 0
    with tailer.watching(task) as too_late:
        assert too_late.is_closed


async def test_who_watches_a_tailer_that_has_begun_is_not_sent_back_to_the_beginning() -> None:
    world, stop = World(), asyncio.Event()
    tailer = ChangeTailer(world.views, world.views, wait_ms=WAIT_MS)
    await tailer.begin()
    task, _ = await world.workshop.submit(await world.workshop.create())
    with tailer.watching(task) as subscription:
        running = asyncio.create_task(tailer.run(stop))
        await project(world.log, world.views)
        assert await subscription.wait(10)
        taken = subscription.take()
        assert not taken.is_fresh_start
        assert taken.frames, "what changed since is told, also before `run` came to it"
    stop.set()
    await running


async def test_more_streams_than_allowed_are_refused() -> None:
    world = World()
    tailer = ChangeTailer(world.views, world.views, subscriptions_max=1)
    with tailer.watching("a"), pytest.raises(TooManyStreams), tailer.watching("b"):
        pass
    with tailer.watching("b"):
        assert tailer.count == 1


async def test_who_watches_through_a_tailer_that_the_feed_has_left_behind_begins_anew() -> None:
    world, stop, now_s = World(), asyncio.Event(), [0.0]
    views = MemoryViews(partitions=2, clock_ms=lambda: 1_000, feed_bytes_max=300)
    tailer = ChangeTailer(views, views, wait_ms=WAIT_MS, clock_s=lambda: now_s[0])
    knowledge_base = await world.workshop.create(partition=0)
    task, documents = await world.workshop.submit(knowledge_base, 4)
    await project(world.log, views)
    await tailer.begin()
    place = tailer.position(0)
    for document in documents:
        await world.workshop.complete(document)
        await project(world.log, views)
    now_s[0] += 60
    assert not await views.feed_reaches(0, place), "the test trims more than was read"
    with tailer.watching(task) as subscription:
        running = asyncio.create_task(tailer.run(stop))
        assert await subscription.wait(20)
        assert subscription.take() == Taken((), is_fresh_start=True)
        await world.workshop.finish(task)
        await project(world.log, views)
        assert await subscription.wait(20)
        assert [one.id for one in subscription.take().frames] == [task]
    stop.set()
    await running
