"""What a stream tells: each state once, also where the projector had not reached it yet, and the last of each before
the end.
"""

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import msgspec

from events.memory import MemoryLog
from projections.changes import ChangeTailer
from projections.feed import FeedPosition
from projections.memory_views import MemoryViews
from projections.places import Place
from projections.projection import DOCUMENTS, Table
from projections.projector import Projector
from projections.queries import Queries
from projections.subjects import WatchedTask
from projections.subscription import Frame
from projections.watching import Group, Story, Watch
from tests.projecting import project
from tests.waiting import wait_until
from tests.workshop import Workshop


async def until_silence(groups: AsyncGenerator[Group, None]) -> list[str]:
    """Whose states are told until a sign of life says that there is nothing more."""
    told: list[str] = []
    async with asyncio.timeout(10):
        while frames := (await anext(groups)).frames:
            told += [frame.id for frame in frames]
    return told


async def offered(tailer: ChangeTailer, views: MemoryViews) -> None:
    end = await views.feed_end(0)
    await wait_until(lambda: tailer.has_passed(0, end), "every change was offered")


async def test_what_was_folded_from_the_log_is_not_told_again_when_the_views_have_it() -> None:
    log = MemoryLog(partitions=1, clock_us=lambda: 0)
    views = MemoryViews(partitions=1, clock_ms=lambda: 0)
    workshop, stop = Workshop(log), asyncio.Event()
    task, (first, second) = await workshop.submit(await workshop.create(), 2)
    queries, tailer = Queries(log, views), ChangeTailer(views, views, wait_ms=10)
    watch = Watch(queries, views, tailer, heartbeat_s=0.001)
    tailing = asyncio.create_task(tailer.run(stop))
    with tailer.watching(task) as subscription:
        groups = Story(watch, WatchedTask(queries, task), subscription).groups(None)
        assert (await until_silence(groups))[:3] == [task, first, second]
        await project(log, views)
        await offered(tailer, views)
        assert await until_silence(groups) == []
        await workshop.start(second)
        await project(log, views)
        await offered(tailer, views)
        assert await until_silence(groups) == [second, task]
        await groups.aclose()
    stop.set()
    await tailing


def status_in(frame: Frame) -> str:
    status = msgspec.json.decode(frame.data)["status"]
    assert isinstance(status, str)
    return status


async def told_before_the_end(groups: AsyncGenerator[Group, None]) -> dict[str, str]:
    """The last status told of each row."""
    told: dict[str, str] = {}
    async with asyncio.timeout(20):
        async for group in groups:
            told.update((frame.id, status_in(frame)) for frame in group.frames)
    return told


class MovingViews(MemoryViews):
    """Once, the projector commits between a read of documents and the read of their task."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        found = await super().rows(partition, table, ids)
        if table is DOCUMENTS and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return found


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: 0)
        self.views = MovingViews(partitions=1, clock_ms=lambda: 0)
        self.workshop = Workshop(self.log)
        self.queries, self.tailer = Queries(self.log, self.views), ChangeTailer(self.views, self.views, wait_ms=10)
        self.watch = Watch(self.queries, self.views, self.tailer, heartbeat_s=0.001)

    async def project(self) -> None:
        await project(self.log, self.views)

    def back_up(self) -> Callable[[], None]:
        """Answers how log and views, which lie side by side, are put back to what they are now."""
        log, views = copy.deepcopy(self.log.store.partitions[0]), copy.deepcopy(self.views._partitions[0])

        def put_back() -> None:
            self.log.store.partitions[0], self.views._partitions[0] = log, views
            views.feed_end = FeedPosition(views.feed_end.ms + 60_000, 0)  # time passes until a replica takes over

        return put_back

    async def project_some(self, events: int) -> None:
        await Projector(self.log, self.views, partition=0, holder="test", page_events=events).advance()


async def test_who_watches_while_the_log_loses_its_end_is_told_the_present_state_and_all_that_follows() -> None:
    world, stop = World(), asyncio.Event()
    task, (first, second) = await world.workshop.submit(await world.workshop.create(), 2)
    await world.project()
    await world.tailer.begin()
    tailing = asyncio.create_task(world.tailer.run(stop))
    subject, put_back = WatchedTask(world.queries, task), world.back_up()
    with world.tailer.watching(task) as subscription:
        groups = Story(world.watch, subject, subscription).groups(None)
        assert (await until_silence(groups))[:3] == [task, first, second]
        await world.workshop.complete(first)
        await world.project()
        await offered(world.tailer, world.views)
        assert set(await until_silence(groups)) == {task, first}
        place = (await last_place(Story(world.watch, subject, subscription).groups(None)))[0]

        lost = (await world.log.head(0)).position
        assert lost is not None
        put_back()
        assert await world.log.raise_epoch(0, lost)
        world.views.break_feed(0)
        await offered(world.tailer, world.views)
        assert (await until_silence(groups))[:3] == [task, first, second], "it begins with what is there"
        await world.workshop.start(first)
        await world.project()
        await offered(world.tailer, world.views)
        assert set(await until_silence(groups)) >= {first}, "its version is one that was told before the loss"
        await groups.aclose()
    with world.tailer.watching(task) as subscription:
        again = Story(world.watch, subject, subscription).groups(place)
        assert (await until_silence(again))[:3] == [task, first, second], "a place of before leads to the present state"
        await again.aclose()
    stop.set()
    await tailing


async def last_place(groups: AsyncGenerator[Group, None]) -> list[Place]:
    """Where a beginning leads to."""
    places: list[Place] = []
    async with asyncio.timeout(20):
        while not places:
            places = [place for place in (await anext(groups)).places if place is not None]
    await groups.aclose()
    return places


async def test_documents_of_a_task_whose_end_was_read_from_the_log_are_not_read_from_older_views() -> None:
    world = World()
    task, (document,) = await world.workshop.through(await world.workshop.create())
    parts = WatchedTask(world.queries, task).beginning()
    assert [status_in(frame) for frame in await anext(parts)] == ["completed"]
    await world.project_some(5)
    assert [(frame.id, status_in(frame)) for frame in await anext(parts)] == [(document, "completed")]


async def test_who_comes_back_to_a_task_that_ended_behind_the_views_is_told_its_documents() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    subject = WatchedTask(world.queries, task)
    with world.tailer.watching(task) as subscription:
        began = Story(world.watch, subject, subscription).groups(None)
        places = [(await anext(began)).places, (await anext(began)).places]
        await began.aclose()
    await world.workshop.complete(document)
    await world.workshop.finish(task)
    with world.tailer.watching(task) as subscription:
        told = await told_before_the_end(Story(world.watch, subject, subscription).groups(places[-1][-1]))
    assert told == {task: "completed", document: "completed"}


async def test_an_end_that_is_read_ahead_of_the_documents_is_told_behind_them() -> None:
    world, stop = World(), asyncio.Event()
    task, (first, second) = await world.workshop.submit(await world.workshop.create(), 2)
    await world.project()
    await world.tailer.begin()
    subject = WatchedTask(world.queries, task)
    with world.tailer.watching(task) as subscription:
        groups = Story(world.watch, subject, subscription).groups(None)
        await anext(groups), await anext(groups)
        await world.workshop.complete(first)
        await world.project()
        await world.workshop.complete(second)
        await world.workshop.finish(task)
        world.views.meanwhile = world.project
        tailing = asyncio.create_task(world.tailer.run(stop))
        assert await told_before_the_end(groups) == {task: "completed", first: "completed", second: "completed"}
    stop.set()
    await tailing


async def test_who_comes_back_just_before_the_end_is_told_of_it_behind_the_documents() -> None:
    world, stop = World(), asyncio.Event()
    task, (first, second) = await world.workshop.submit(await world.workshop.create(), 2)
    await world.project()
    place = Place((await world.views.feed_end(0),))
    await world.workshop.complete(first)
    await world.project()
    await world.tailer.begin()
    tailing = asyncio.create_task(world.tailer.run(stop))
    await world.workshop.complete(second)
    await world.workshop.finish(task)
    world.views.meanwhile = world.project
    with world.tailer.watching(task) as subscription:
        story = Story(world.watch, WatchedTask(world.queries, task), subscription)
        told = await told_before_the_end(story.groups(place))
    assert told == {task: "completed", first: "completed", second: "completed"}
    stop.set()
    await tailing
