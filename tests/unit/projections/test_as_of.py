"""Statuses as they stood at a time or a position."""

import pytest

from domain.errors import Refused
from domain.status import TaskPhase
from events.envelope import Position
from events.memory import MemoryLog
from projections.as_of import Moment, parse_moment, statuses_as_of
from projections.cursors import Cursors
from projections.errors import InvalidMoment
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.task_history import TaskHistory
from tests.projecting import project
from tests.workshop import Workshop

START_MS = 1_700_000_000_000


class World:
    """The log's clock moves by a second whenever the test says so."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.log = MemoryLog(partitions=2, clock_us=lambda: self.now_ms * 1_000)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: self.now_ms)
        self.workshop = Workshop(self.log)
        queries = Queries(self.log, self.views)
        self.history = TaskHistory(self.log, queries, Cursors(b"the secret of a test, long enough"))

    def tick(self) -> Moment:
        """The moment that ends now."""
        ended = Moment(self.now_ms)
        self.now_ms += 1_000
        return ended

    def empty(self) -> MemoryViews:
        return MemoryViews(partitions=2, clock_ms=lambda: 0)


async def test_every_moment_shows_the_statuses_of_then() -> None:
    world = World()
    before = world.tick()
    base = await world.workshop.create(partition=1)
    task, (first, second) = await world.workshop.submit(base, 2)
    submitted = world.tick()
    await world.workshop.complete(first)
    halfway = world.tick()
    await world.workshop.fail(second)
    await world.workshop.finish(task)
    ended = world.tick()

    async def seen(moment: Moment) -> tuple[int, dict[str, int], dict[str, int]]:
        found = await statuses_as_of(world.log, world.empty(), moment)
        assert len(found.knowledge_bases) == (moment != before)
        return found.events, dict(found.documents), dict(found.tasks)

    assert await seen(before) == (0, {}, {})
    assert await seen(submitted) == (4, {"queued": 2}, {"queued": 1})
    assert await seen(halfway) == (13, {"completed": 1, "queued": 1}, {"processing": 1})
    assert await seen(ended) == (16, {"completed": 1, "failed": 1}, {"partial": 1})

    await project(world.log, world.views)
    assert (await world.history.as_of(task, submitted)).task.status is TaskPhase.QUEUED
    then = await world.history.as_of(task, halfway)
    assert (then.task.status, then.facts, then.task.documents.completed) == (TaskPhase.PROCESSING, 12, 1)
    now = await world.history.as_of(task, ended)
    assert now.task == await Queries(world.log, world.views).task(task)
    assert await world.history.as_of(task, parse_moment(now.position)) == now
    with pytest.raises(Refused):
        await world.history.as_of(task, before)


async def test_each_position_of_a_history_shows_one_fact_more() -> None:
    world = World()
    task, _ = await world.workshop.through(await world.workshop.create(), 2)
    facts = (await world.history.facts(task, limit=200)).data
    for known, fact in enumerate(facts, start=1):
        assert fact.position is not None
        then = await world.history.as_of(task, parse_moment(fact.position))
        assert (then.facts, then.position) == (known, fact.position)
        assert then.task.version == known


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("3-1700000000001-7", Moment(1_700_000_000_001, 7)),
        ("2023-11-14T22:13:20Z", Moment(START_MS)),
        ("2023-11-14T23:13:20.0019+01:00", Moment(START_MS + 1)),
        ("2023-11-14T23:13:20 01:00", Moment(START_MS)),
    ],
)
def test_a_moment_is_a_time_or_a_position(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2023-11-14", "2023-11-14T22:13:20", "1-2", "9999999999999"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidMoment):
        parse_moment(text)


def test_whatever_has_the_very_place_of_the_moment_is_in() -> None:
    assert str(Position(1, 5, 0)) == "1-5-0"
    assert parse_moment("1-5-0") < parse_moment("1-5-1") < Moment(5)
