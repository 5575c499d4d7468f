"""A log that lost its end: views that know more than it has are built anew, and whoever saw the end tells of it."""

import copy
import io

import pytest

from events.envelope import Position
from events.ids import KnowledgeBaseId
from events.log import EventLog
from events.memory import MemoryLog
from events.memory_store import LogEntry
from projections.errors import RebuildRefused
from projections.memory_views import MemoryViews
from projections.projection import TABLES
from projections.projector import Projector
from projections.replay import rebuild
from projections.views import Checkpoint, ViewStore
from projections.writer import LEASE_MS
from tests.projecting import project
from tests.workshop import Workshop


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000
        self.log = MemoryLog(partitions=1, clock_us=lambda: self.now_ms * 1_000)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: self.now_ms)
        self.workshop = Workshop(self.log)
        self.knowledge_base = KnowledgeBaseId("")
        self._backup = copy.deepcopy(self.log.store.partitions[0])

    def back_up(self) -> None:
        self._backup = copy.deepcopy(self.log.store.partitions[0])

    def put_back(self) -> None:
        """The log as it was; later entries have later ids all the same."""
        self.log.store.partitions[0] = self._backup
        self.now_ms += LEASE_MS + 1

    async def expect_views_of_what_is_there(self) -> None:
        fresh = MemoryViews(partitions=1, clock_ms=lambda: self.now_ms)
        await project(self.log, fresh)
        live = await self.views.live_generation(0)
        assert await self.views.checkpoint(0) == await fresh.checkpoint(0)
        for table in TABLES:
            found = {row_id: row async for row_id, row in self.views.scan_rows(0, live, table)}
            assert found == {row_id: row async for row_id, row in fresh.scan_rows(0, 1, table)}


@pytest.fixture
async def world() -> World:
    world = World()
    world.knowledge_base = await world.workshop.create()
    await world.workshop.through(world.knowledge_base, 1)
    world.back_up()
    await world.workshop.through(world.knowledge_base, 3)
    return world


async def test_views_that_know_more_than_the_log_are_built_anew_from_it(world: World) -> None:
    await project(world.log, world.views)
    world.put_back()
    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=rebuild)
    assert await projector.advance() is None
    await projector.advance()
    assert await world.views.live_generation(0) == 2
    await world.expect_views_of_what_is_there()
    await world.workshop.through(world.knowledge_base, 1)
    assert await projector.advance()
    await world.expect_views_of_what_is_there()


async def test_without_a_rebuild_nothing_is_folded_on_top_of_what_is_wrong(
    world: World, log_lines: io.StringIO
) -> None:
    await project(world.log, world.views)
    stood_at = await world.views.checkpoint(0)
    world.put_back()
    projector = Projector(world.log, world.views, partition=0, holder="one")
    assert [await projector.advance(), await projector.advance()] == [None, None]
    assert await world.views.checkpoint(0) == stood_at
    assert log_lines.getvalue().count("views_beyond_log") == 1


async def test_a_projector_at_rest_notices_that_the_log_was_rolled_under_it(world: World) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=rebuild)
    state = world.log.store.partitions[0]
    state.log.append(LogEntry((2**64 - 1, 0), b"the last"))
    await projector.advance()
    assert await projector.advance() == 0
    state.log.pop()
    assert await projector.advance() == 0
    assert await projector.advance() is None, "it rebuilds"
    assert await projector.advance() == 0
    await world.expect_views_of_what_is_there()


async def test_entries_that_somebody_else_put_behind_the_last_event_are_no_loss(world: World) -> None:
    state = world.log.store.partitions[0]
    end = await world.log.head(0)
    assert end.position is not None
    state.log.append(LogEntry((end.position.ms, end.position.sequence + 1), b"foreign"))
    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=rebuild)
    while await projector.advance():
        pass
    assert await world.views.live_generation(0) == 1
    assert (await world.views.checkpoint(0)).unreadable == 1


async def test_who_saw_the_end_of_a_log_that_lost_it_tells_of_it(world: World, log_lines: io.StringIO) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="one")
    lost = await world.log.head(0)
    await projector.advance()
    assert "log_lost_its_end" not in log_lines.getvalue()
    # Log and views lie in one store, and lose their ends together.
    world.put_back()
    world.views = MemoryViews(partitions=1, clock_ms=lambda: world.now_ms)
    await project(world.log, world.views)
    projector._views = world.views
    world.now_ms += LEASE_MS + 1
    await projector.advance()
    await projector.advance()
    told = log_lines.getvalue()
    assert told.count("log_lost_its_end") == 1
    assert f'"events": {lost.number - (await world.log.head(0)).number}' in told


async def test_who_folded_what_the_log_has_lost_begins_its_next_epoch(world: World) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="one", epochs=world.log)
    await projector.advance()
    seen = await world.log.head(0)
    assert seen.epoch == 1
    world.put_back()
    world.views = projector._views = MemoryViews(partitions=1, clock_ms=lambda: world.now_ms)
    await project(world.log, world.views)
    world.now_ms += LEASE_MS + 1
    await projector.advance()
    await projector.advance()
    assert (await world.log.head(0)).epoch == 2
    await world.workshop.through(world.knowledge_base, 3)
    while await projector.advance():
        pass
    assert (await world.log.head(0)).epoch == 2, "once for one loss"
    checkpoint = await world.views.checkpoint(0)
    assert checkpoint.position == (await world.log.head(0)).position
    await world.expect_views_of_what_is_there()
    await rebuild(world.log, world.views, 0, holder="other")
    await world.expect_views_of_what_is_there()


async def test_views_that_took_a_page_of_another_primary_are_built_anew_from_the_log(world: World) -> None:
    """Two servers think that they are the primary; a page of one was committed to the views beside the other."""
    other = copy.deepcopy(world.log.store.partitions[0])
    await world.workshop.through(world.knowledge_base, 1)
    await project(world.log, world.views)
    world.log.store.partitions[0] = other
    other.numbering.last = (world.now_ms + 60_000, 0)  # it appends behind the place of that page
    await world.workshop.through(world.knowledge_base, 2)
    world.now_ms += LEASE_MS + 1
    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=rebuild)
    while await projector.advance() != 0:
        pass
    await world.expect_views_of_what_is_there()


async def test_a_page_that_does_not_fit_is_not_folded_where_the_rebuild_is_refused(world: World) -> None:
    other = copy.deepcopy(world.log.store.partitions[0])
    await world.workshop.through(world.knowledge_base, 1)
    await project(world.log, world.views)
    world.log.store.partitions[0] = other
    other.numbering.last = (world.now_ms + 60_000, 0)
    await world.workshop.through(world.knowledge_base, 2)
    world.now_ms += LEASE_MS + 1
    stood_at = await world.views.checkpoint(0)
    refusals = [RebuildRefused("somebody else is at it")]

    async def refused_once(event_log: EventLog, views: ViewStore, partition: int, *, holder: str) -> object:
        if refusals:
            raise refusals.pop()
        return await rebuild(event_log, views, partition, holder=holder)

    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=refused_once)
    assert await projector.advance() is None
    assert await world.views.checkpoint(0) == stood_at
    while await projector.advance() != 0:
        pass
    await world.expect_views_of_what_is_there()


async def test_views_at_rest_are_rebuilt_in_the_epoch_after_theirs(world: World) -> None:
    await project(world.log, world.views)
    end = (await world.log.head(0)).position
    assert end is not None
    assert await world.log.raise_epoch(0, end)
    assert (await rebuild(world.log, world.views, 0, holder="other")).after == 2
    await world.expect_views_of_what_is_there()


async def test_a_commit_that_is_lost_without_any_event_is_no_loss_of_the_log(
    world: World, log_lines: io.StringIO
) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="one", page_events=2, epochs=world.log)
    while await projector.advance():
        pass
    projector._views = world.views = MemoryViews(partitions=1, clock_ms=lambda: world.now_ms)
    while await projector.advance() != 0:
        pass
    assert await projector.advance() is not None
    while await projector.advance():
        pass
    assert "log_lost_its_end" not in log_lines.getvalue()
    assert (await world.log.head(0)).epoch == 1
    await world.expect_views_of_what_is_there()


def test_checkpoints_are_compared_by_their_entries() -> None:
    beginning, early, late = (
        Checkpoint(),
        Checkpoint(position=Position(1, 5, 1)),
        Checkpoint(position=Position(1, 6, 0)),
    )
    assert beginning.is_behind(early)
    assert early.is_behind(late)
    assert not late.is_behind(early)
    assert not early.is_behind(early)
    assert not beginning.is_behind(beginning)
