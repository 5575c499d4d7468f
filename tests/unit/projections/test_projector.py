"""The projector on memory: checkpoints, leases, crashes, and two of them at once."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import LogUnavailable
from events.memory import MemoryLog
from projections.memory_views import MemoryViews
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TABLES, RowKey
from projections.projector import SEVERAL_EVENTS, Projector, run_projectors
from projections.views import Checkpoint, Commit, Lease
from projections.writer import LEASE_MS, RowCache
from tests.generations import compare
from tests.projecting import project
from tests.waiting import wait_for, wait_until
from tests.workshop import Workshop

PARTITIONS = 2


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


class CrashingViews(MemoryViews):
    """Dies between fold and commit when told to."""

    crashes = 0

    async def commit(self, commit: Commit) -> bool:
        if self.crashes:
            self.crashes -= 1
            raise SystemError("killed between fold and commit")
        return await super().commit(commit)


class CountedViews(MemoryViews):
    """Counts commits."""

    commits = 0

    async def commit(self, commit: Commit) -> bool:
        self.commits += 1
        return await super().commit(commit)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=lambda: self.clock.now_ms * 1_000)
        self.views = CrashingViews(partitions=PARTITIONS, clock_ms=self.clock)
        self.workshop = Workshop(self.log)

    def projector(self, holder: str = "one", page_events: int = 5) -> Projector:
        return Projector(self.log, self.views, partition=0, holder=holder, page_events=page_events)

    async def expect_views_as_folded_at_once(self) -> None:
        fresh = MemoryViews(partitions=PARTITIONS, clock_ms=self.clock)
        await project(self.log, fresh)
        for partition in range(PARTITIONS):
            assert await self.views.checkpoint(partition) == await fresh.checkpoint(partition)
            for table in TABLES:
                found = [row async for row in self.views.scan_rows(partition, 1, table)]
                assert dict(found) == {row[0]: row[1] async for row in fresh.scan_rows(partition, 1, table)}
            lists = [one async for one in self.views.scan_indexes(partition, 1)]
            assert dict(lists) == {one[0]: one[1] async for one in fresh.scan_indexes(partition, 1)}


@pytest.fixture
def world() -> World:
    return World()


async def test_the_checkpoint_stands_at_the_last_event_of_the_log(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 2)
    projector = world.projector()
    while await projector.advance():
        pass
    head = await world.log.head(0)
    assert await world.views.checkpoint(0) == Checkpoint(position=head.position, number=head.number)


async def test_a_crash_between_fold_and_commit_repeats_harmlessly(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 3)
    for _ in range(3):
        world.views.crashes = 1
        projector = world.projector()
        with pytest.raises(SystemError):
            await projector.advance()
        assert await world.projector().advance()
    await project(world.log, world.views, holder="one")
    await world.expect_views_as_folded_at_once()


async def test_the_second_projector_waits_for_the_lease_of_the_first(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    first, second = world.projector("one"), world.projector("two")
    assert await first.advance() == 1
    await world.workshop.submit(knowledge_base)
    assert await second.advance() is None
    world.clock.now_ms += LEASE_MS + 1
    assert await second.advance() == 2
    await world.workshop.submit(knowledge_base)
    assert await first.advance() == 0, "its commit is refused: another holds the lease now"
    assert await first.advance() is None
    assert await second.advance() == 2
    await world.expect_views_as_folded_at_once()


async def test_an_idle_projector_keeps_its_lease(world: World) -> None:
    await world.workshop.create(partition=0)
    first, second = world.projector("one"), world.projector("two")
    await first.advance()
    for _ in range(3):
        world.clock.now_ms += LEASE_MS - 1
        assert await first.advance() == 0
        assert await second.advance() is None


async def test_unreadable_entries_are_counted_and_passed_over(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    world.log.put_raw(0, b"\xc1 no envelope")
    await world.workshop.through(knowledge_base)
    await project(world.log, world.views)
    checkpoint = await world.views.checkpoint(0)
    assert (checkpoint.unreadable, checkpoint.unknown, checkpoint.refused) == (1, 0, 0)
    assert checkpoint.number == (await world.log.head(0)).number


async def test_a_row_that_left_the_cache_is_read_again(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    projector = Projector(world.log, world.views, partition=0, holder="one", page_events=3, cached_rows_max=2)
    tasks = [await world.workshop.through(knowledge_base, 2) for _ in range(3)]
    while await projector.advance():
        pass
    assert len(tasks) == 3
    await world.expect_views_as_folded_at_once()


async def test_rows_that_came_to_rest_are_let_go_and_read_when_something_is_told_of_them_again(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    _, documents = await world.workshop.through(knowledge_base, 2)
    await project(world.log, world.views)
    resting, changing = RowKey(DOCUMENTS, documents[0]), RowKey(KNOWLEDGE_BASES, knowledge_base)
    payloads = {key: (await world.views.rows(0, key.table, [key.id]))[0] for key in (resting, changing)}
    asked, cache = list[RowKey](), RowCache(10)

    async def load(keys: Sequence[RowKey]) -> list[bytes | None]:
        asked.extend(keys)
        return [payloads[key] for key in keys]

    rows = await cache.fetch([resting, changing], load)
    cache.keep(rows)

    assert await cache.fetch([resting, changing], load) == rows
    assert asked == [resting, changing, resting]


async def test_running_projectors_follow_the_log_until_told_to_stop(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_projectors(world.log, world.views, holder="one", stop=stop))
    knowledge_base = await world.workshop.create(partition=1)
    task, _ = await world.workshop.through(knowledge_base)
    position = world.views.feed_end
    async with asyncio.timeout(10):
        while (await world.views.checkpoint(1)).number < (await world.log.head(1)).number:
            await world.views.feed_read({1: await position(1)}, limit=1, wait_ms=50)
    stop.set()
    await running
    assert (await world.views.rows(1, TABLES[1], [task]))[0] is not None
    assert await world.projector("two").advance() is not None, "the lease was given up"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["one", "two", "crash", "work", "time"]), max_size=25))
def test_law_12_any_mixture_of_projectors_crashes_and_lost_leases_ends_as_one_fold(course: list[str]) -> None:
    asyncio.run(_run_course(course))


async def _run_course(course: list[str]) -> None:
    world = World()
    projectors = {name: world.projector(name, page_events=3) for name in ("one", "two")}
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base)
    for turn in course:
        match turn:
            case "work":
                await world.workshop.through(knowledge_base)
            case "time":
                world.clock.now_ms += LEASE_MS + 1
            case "crash":
                world.views.crashes = 1
            case name:
                try:
                    await projectors[name].advance()
                except SystemError:
                    projectors[name] = world.projector(name, page_events=3)
    world.views.crashes = 0
    world.clock.now_ms += LEASE_MS + 1
    await project(world.log, world.views, holder="last")
    await world.expect_views_as_folded_at_once()
    assert await compare(world.views, 0, 1, 1) == []


class LateViews(CrashingViews):
    """The caller of the first commit gives up; it takes effect in the middle of the rows that are loaded next."""

    late: Commit | None = None
    loads_until_it_lands = 2

    async def commit(self, commit: Commit) -> bool:
        if self.late is None:
            self.late = commit
            raise LogUnavailable("no answer in time")
        return await super().commit(commit)

    async def load(self, lease: Lease, keys: Sequence[RowKey]) -> list[bytes | None]:
        if self.late is not None:
            self.loads_until_it_lands -= 1
            if self.loads_until_it_lands == 0:
                await super().commit(self.late)
        return await super().load(lease, keys)


async def test_a_commit_that_lands_after_its_projector_gave_up_counts_nothing_twice(world: World) -> None:
    world.views = LateViews(partitions=PARTITIONS, clock_ms=world.clock)
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 1)
    projector = world.projector(page_events=100)
    with pytest.raises(LogUnavailable):
        await projector.advance()
    while (await world.views.checkpoint(0)).number < (await world.log.head(0)).number:
        await projector.advance()
    await world.workshop.through(knowledge_base, 1)
    await projector.advance()
    await world.expect_views_as_folded_at_once()


async def test_what_comes_soon_behind_several_events_is_one_page_and_a_few_are_committed_at_once() -> None:
    log, views = MemoryLog(partitions=1, clock_us=lambda: 1), CountedViews(partitions=1, clock_ms=Clock())
    workshop, stop = Workshop(log), asyncio.Event()
    projector = Projector(log, views, partition=0, holder="one", pace_s=0.5)
    running = asyncio.create_task(projector.run(stop))
    knowledge_base = await workshop.create()

    async def is_shown() -> bool:
        return (await views.checkpoint(0)).number == (await log.head(0)).number

    await wait_for(is_shown, "the first event is committed")
    await workshop.submit(knowledge_base, SEVERAL_EVENTS)
    await wait_for(is_shown, "several are committed, with no pause behind the one before")
    assert views.commits == 2
    for _ in range(5):
        await workshop.submit(knowledge_base)
    await wait_for(is_shown, "what came within the pause is committed")
    assert views.commits == 3
    stop.set()
    async with asyncio.timeout(10):
        await running


async def test_a_backlog_is_read_without_a_pause() -> None:
    log, views = MemoryLog(partitions=1, clock_us=lambda: 1), CountedViews(partitions=1, clock_ms=Clock())
    workshop, stop = Workshop(log), asyncio.Event()
    knowledge_base = await workshop.create()
    for _ in range(4):
        await workshop.submit(knowledge_base)
    events = (await log.head(0)).number
    projector = Projector(log, views, partition=0, holder="one", page_events=1, pace_s=3_600)
    running = asyncio.create_task(projector.run(stop))
    await wait_until(lambda: views.commits == events, "every page is committed")
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert views.commits == events > 4
