"""Finished tasks leave the views after a while; what is asked about them later is answered from their histories."""

import asyncio

import pytest

from domain.commands import RemoveDocument
from domain.status import TaskPhase
from events.envelope import Envelope
from events.ids import TaskId, partition_of
from events.log import Write
from events.memory import MemoryLog
from events.task import CallbackDelivered
from projections import projector, retention
from projections.cursors import Cursors
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.projection import TASKS
from projections.projector import Projector
from projections.queries import Queries
from projections.replay import rebuild
from projections.retention import Retention
from projections.tasks import FINISHED_INDEX
from tests.generations import compare
from tests.projecting import project
from tests.workshop import Workshop

KEEP_US = 60_000_000


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        self.queries = Queries(self.log, self.views)
        self.lists = Lists(self.log, self.views, self.queries, Cursors(b"a secret of sixteen bytes or more"))
        self.now_us = 0
        self.projector = Projector(
            self.log,
            self.views,
            partition=0,
            holder="test",
            retention=Retention(keep_us=KEEP_US, clock_us=lambda: self.now_us),
        )

    async def settle(self) -> None:
        while await self.projector.advance():
            pass

    async def listed(self) -> set[TaskId]:
        return {one.task_id for one in (await self.lists.tasks()).data}

    async def let_pass(self) -> None:
        """Everything that has finished is as old as what is retired."""
        self.now_us = self.workshop.now_us() + KEEP_US
        await self.settle()


@pytest.fixture
def world() -> World:
    return World()


async def test_a_finished_task_leaves_the_lists_when_its_time_is_over_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "SWEEP_INTERVAL_US", 0)
    knowledge_base = await world.workshop.create()
    first, _ = await world.workshop.through(knowledge_base)
    second, _ = await world.workshop.through(knowledge_base)
    open_task, _ = await world.workshop.submit(knowledge_base)
    await world.settle()
    finished_us = [
        round(status.finished_at.timestamp() * 1_000_000)
        for status in [await world.queries.task(task) for task in (first, second)]
        if status.finished_at is not None
    ]
    world.now_us = finished_us[0] + KEEP_US
    await world.settle()
    assert await world.listed() == {first, second, open_task}
    world.now_us = finished_us[1] + KEEP_US
    await world.settle()
    assert await world.listed() == {second, open_task}, "the second has its time until the very microsecond"
    world.now_us += 1
    await world.settle()
    assert await world.listed() == {open_task}
    world.now_us *= 2
    await world.settle()
    assert await world.listed() == {open_task}, "what is open never leaves"
    assert (await world.lists.tasks(phase=TaskPhase.COMPLETED)).total == 0


async def test_a_retired_task_is_answered_as_it_was_and_so_are_its_documents(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, _ = await world.workshop.through(knowledge_base, 3)
    await world.settle()
    before = await world.queries.task(task), await world.lists.task_documents(task)
    counts = await world.queries.knowledge_base(knowledge_base)
    await world.let_pass()
    assert await world.views.rows(0, TASKS, [task]) == [None]
    assert (await world.queries.task(task), await world.lists.task_documents(task)) == before
    assert await world.queries.knowledge_base(knowledge_base) == counts
    assert (await world.lists.documents(knowledge_base)).total == 3, "documents stay as long as they exist"


async def test_what_is_told_of_a_retired_task_later_is_passed_over_without_a_trace(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, (document, _) = await world.workshop.through(knowledge_base, 2)
    await world.settle()
    await world.let_pass()
    await world.workshop.work(document, RemoveDocument())
    await _tell_of_a_callback(world, task)
    await world.settle()
    assert [row async for row in world.views.scan_rows(0, 1, TASKS)] == []
    assert (await world.views.checkpoint(0)).refused == 0
    assert (await world.queries.task(task)).version == len(await _facts_of(world, task))
    later, _ = await world.workshop.through(knowledge_base)
    await world.settle()
    assert await world.listed() == {later}


async def test_a_rebuild_leaves_out_what_was_retired(world: World) -> None:
    knowledge_base = await world.workshop.create()
    _, (document,) = await world.workshop.through(knowledge_base)
    await world.settle()
    await world.let_pass()
    await world.workshop.work(document, RemoveDocument())
    kept, _ = await world.workshop.through(knowledge_base)
    await world.settle()
    await rebuild(world.log, world.views, 0, holder="rebuild", drops_old=False)
    assert await compare(world.views, 0, 1, 2) == []
    checkpoints = [await world.views.checkpoint(0, generation) for generation in (1, 2)]
    assert checkpoints[0] == checkpoints[1]
    assert checkpoints[0].retired_before_us > 0
    assert await world.listed() == {kept}


async def test_a_task_that_is_read_when_its_time_is_over_long_ago_never_enters(world: World) -> None:
    """The projector was away for longer than tasks are kept."""
    knowledge_base = await world.workshop.create()
    early, _ = await world.workshop.submit(knowledge_base)
    first, _ = await world.workshop.through(knowledge_base)
    await world.settle()
    mark_us = world.workshop.now_us()
    await world.workshop.finish(early)
    world.now_us = mark_us + KEEP_US
    await world.settle()
    assert await world.views.rows(0, TASKS, [first]) == [None]
    entered = await world.views.page(0, FINISHED_INDEX, TASKS, after=None, limit=9, newest_first=False)
    assert entered.rows == ()


async def test_many_tasks_leave_a_part_at_a_time_and_none_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SWEEP_TASKS", 2)
    knowledge_base = await world.workshop.create()
    tasks = [(await world.workshop.through(knowledge_base))[0] for _ in range(7)]
    await world.settle()
    world.now_us = world.workshop.now_us() + KEEP_US
    sizes = []
    for _ in range(5):
        await world.projector.advance()
        sizes.append(len(await world.listed()))
    assert sizes == [5, 3, 1, 0, 0]
    assert [row async for row in world.views.scan_rows(0, 1, TASKS)] == []
    lists = {index async for index, _ in world.views.scan_indexes(0, 1)}
    assert not [index for index in lists if "tasks" in index or index == FINISHED_INDEX]
    assert await asyncio.gather(*map(world.queries.task, tasks))


async def test_tasks_that_finished_in_the_same_microsecond_leave_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SWEEP_TASKS", 1)
    knowledge_base = await world.workshop.create()
    tasks = [(await world.workshop.submit(knowledge_base))[0] for _ in range(3)]
    for task in tasks:
        for ordinal in (await world.queries.ids_of_task(task))[:1]:
            await world.workshop.fail(ordinal)
    at_us = world.workshop.now_us()
    monkeypatch.setattr(world.workshop, "now_us", lambda: at_us)
    for task in tasks:
        await world.workshop.finish(task)
    await world.settle()
    world.now_us = at_us + 1 + KEEP_US
    await world.settle()
    assert await world.listed() == set()


async def test_without_retention_everything_stays(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, _ = await world.workshop.through(knowledge_base)
    await project(world.log, world.views)
    assert await world.listed() == {task}


async def _facts_of(world: World, task: TaskId) -> list[Envelope]:
    documents = await world.queries.ids_of_task(task)
    return [one for stream in (task, *documents) for one in await world.log.history(stream)]


async def _tell_of_a_callback(world: World, task: TaskId) -> None:
    history = await world.log.history(task)
    told = Envelope(
        event_id=world.workshop.ids.event(),
        stream_id=task,
        version=len(history) + 1,
        event=CallbackDelivered(attempt=1, status_code=200),
        recorded_at_us=world.workshop.now_us(),
        correlation_id=task,
    )
    status = await world.queries.task(task)
    assert partition_of(task) == 0
    await world.log.append(
        [
            Write(
                stream_id=task,
                expected_version=len(history),
                envelopes=(told,),
                knowledge_base_id=status.knowledge_base_id,
            )
        ]
    )
