"""Asking and waiting: what a waiting caller is told, and what is read for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from domain.status import TaskStatus
from events.ids import TaskId
from events.memory import MemoryLog
from projections.changes import ChangeTailer
from projections.long_poll import Until, told_within
from projections.memory_views import MemoryViews
from projections.projection import DOCUMENTS, TASKS, Table
from projections.queries import Queries
from projections.subscription import Frame
from projections.watching import Watch
from tests.projecting import project
from tests.waiting import wait_until
from tests.workshop import Workshop


class CountingViews(MemoryViews):
    """Tells how often rows of a table are read."""

    def __init__(self) -> None:
        super().__init__(partitions=1, clock_ms=lambda: 0)
        self.reads: list[Table] = []

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        self.reads.append(table)
        return await super().rows(partition, table, ids)


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: 0)
        self.views = CountingViews()
        self.workshop = Workshop(self.log)
        self.queries = Queries(self.log, self.views)
        self.tailer = ChangeTailer(self.views, self.views, wait_ms=10)

    @asynccontextmanager
    async def tailing(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        await self.tailer.begin()
        running = asyncio.create_task(self.tailer.run(stop))
        yield
        stop.set()
        await running

    async def asked(
        self, task: TaskId, *, known: int | None = None, until: Until = Until.CHANGED, wait_s: float = 20
    ) -> Frame:
        """`known` is the version of the caller's tag, None without one."""
        return await told_within(
            Watch(self.queries, self.views, self.tailer),
            task,
            told=known or 0,
            is_known=lambda version: known is None or version == known,
            until=until,
            wait_s=wait_s,
            now_s=asyncio.get_running_loop().time,
        )

    async def waiting(self, count: int) -> None:
        await wait_until(lambda: self.tailer.count == count, "the polls wait")


async def test_who_waits_is_told_what_was_read_for_all_who_wait_and_no_document_is_read() -> None:
    world = World()
    task, (document, _) = await world.workshop.submit(await world.workshop.create(), 2)
    await project(world.log, world.views)
    async with world.tailing():
        polls = [asyncio.create_task(world.asked(task)) for _ in range(3)]
        await world.waiting(3)
        world.views.reads.clear()
        await world.workshop.start(document)
        await project(world.log, world.views)
        frames = await asyncio.gather(*polls)
    assert world.views.reads == [TASKS], "one read for three who wait"
    present = await world.queries.task(task)
    assert [msgspec.json.decode(frame.data, type=TaskStatus) for frame in frames] == [present] * 3
    assert [frame.version for frame in frames] == [present.version] * 3
    assert world.tailer.count == 0


async def test_who_watches_documents_is_told_of_them_while_others_wait_for_the_task_alone() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await project(world.log, world.views)
    async with world.tailing():
        with world.tailer.watching(task) as subscription:
            poll = asyncio.create_task(world.asked(task))
            await world.waiting(2)
            world.views.reads.clear()
            await world.workshop.start(document)
            await project(world.log, world.views)
            await poll
            assert await subscription.wait(10)
            assert {(one.id, one.event) for one in subscription.take().frames} == {
                (task, "status"),
                (document, "document"),
            }
    assert sorted(one.name for one in world.views.reads) == sorted(one.name for one in (DOCUMENTS, TASKS))


async def test_a_change_that_the_caller_has_or_that_is_older_ends_no_wait() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await world.workshop.start(document)
    folded = await world.queries.task(task)
    async with world.tailing():
        poll = asyncio.create_task(world.asked(task, known=folded.version))
        await world.waiting(1)
        await project(world.log, world.views)
        end = await world.views.feed_end(0)
        await wait_until(lambda: world.tailer.has_passed(0, end), "the views have come to what was folded")
        assert not poll.done()
        await world.workshop.complete(document)
        await project(world.log, world.views)
        assert (await poll).version > folded.version


async def test_what_others_were_answered_from_the_log_meanwhile_is_told_too() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await project(world.log, world.views)
    known = await world.queries.task(task)
    async with world.tailing():
        poll = asyncio.create_task(world.asked(task, known=known.version))
        await world.waiting(1)
        await world.workshop.start(document)
        page = await world.log.read(0, after=(await world.views.checkpoint(0)).position)
        await world.workshop.complete(document)
        newest = await world.queries.task(task, told=known.version + len(page) + 1)
        await project(world.log, world.views)
        assert (await poll).version >= newest.version


async def test_a_log_that_lost_its_end_is_told_as_it_is_now() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await project(world.log, world.views)
    known = (await world.queries.task(task)).version + 5
    async with world.tailing():
        assert (await world.asked(task, known=known)).version < known
        assert (await world.asked(task, wait_s=0.01)).version < known
        await world.workshop.complete(document)


async def test_who_waits_for_the_end_is_told_nothing_before_it_whatever_is_known() -> None:
    world = World()
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await project(world.log, world.views)
    async with world.tailing():
        polls = [asyncio.create_task(world.asked(task, known=known, until=Until.ENDED)) for known in (None, 0)]
        await world.waiting(2)
        await world.workshop.start(document)
        await project(world.log, world.views)
        end = await world.views.feed_end(0)
        await wait_until(lambda: world.tailer.has_passed(0, end), "the change is told to whoever waits for it")
        assert not any(poll.done() for poll in polls)
        under_way = await world.asked(task, until=Until.ENDED, wait_s=0.01)
        assert not under_way.is_end, "the time is over"
        await world.workshop.complete(document)
        await world.workshop.finish(task)
        await project(world.log, world.views)
        assert all([(await poll).is_end for poll in polls])


async def test_an_end_is_answered_at_once() -> None:
    world = World()
    task, _ = await world.workshop.through(await world.workshop.create())
    await project(world.log, world.views)
    async with world.tailing():
        assert (await world.asked(task)).is_end
