"""The change feed: every fact once, in the order of its partition, however differently fast partitions are written."""

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import DeleteKnowledgeBase, RemoveDocument
from domain.errors import RefusalCode, Refused
from events.envelope import Envelope, Position
from events.ids import partition_of
from events.log import Unreadable
from events.memory import MemoryLog
from projections import event_feed
from projections.cursors import Cursors
from projections.errors import InvalidCursor
from projections.event_feed import END, EventFeed, EventFilter
from projections.memory_views import MemoryViews
from projections.owners import Owners
from projections.queries import Queries
from projections.task_history import RecordedFact
from tests.event_samples import new_knowledge_base
from tests.examples import examples
from tests.projecting import project
from tests.workshop import Workshop

PARTITIONS = 3


class ForgetfulLog(MemoryLog):
    """Holds nothing up to a number any more, as after a trim without an archive."""

    forgotten = 0

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        found = await super().read(partition, after=after, limit=100_000, wait_ms=wait_ms)
        return [one for one in found if (one.number or 0) > self.forgotten][:limit]


class World:
    def __init__(self) -> None:
        self.now_us = 1_000_000
        self.log = ForgetfulLog(partitions=PARTITIONS, clock_us=lambda: self.now_us)
        self.views = MemoryViews(partitions=PARTITIONS, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        queries = Queries(self.log, self.views)
        self.feed = EventFeed(
            self.log, queries, Owners(self.log, self.views), Cursors(b"a secret of sixteen bytes or more")
        )

    async def everything(self) -> dict[int, list[str]]:
        """The ids of all facts, as the log has them."""
        return {
            partition: [one.event_id for one in await self.log.read(partition) if isinstance(one, Envelope)]
            for partition in range(PARTITIONS)
        }


@pytest.fixture
def world() -> World:
    return World()


def by_partition(facts: list[RecordedFact]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for fact in facts:
        found[partition_of(fact.stream_id)].append(fact.event_id)
    return found


turns = st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, 3), st.booleans())


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(1, 7), st.lists(turns, max_size=12), st.integers(1, 4))
def test_every_fact_is_told_once_and_in_the_order_of_its_partition(
    limit: int, course: list[tuple[int, int, bool]], scan: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_feed, "SCAN_EVENTS", scan * PARTITIONS)
        patch.setattr(event_feed, "SCAN_EVENTS_MAX", scan * 2)
        asyncio.run(_read_while_written(limit, course))


async def _read_while_written(limit: int, course: list[tuple[int, int, bool]]) -> None:
    world = World()
    bases = [await world.workshop.create(f"kb {one}", partition=one) for one in range(PARTITIONS)]
    found: list[RecordedFact] = []
    cursor: str | None = None
    rest = list(course)
    while True:
        page = await world.feed.read(EventFilter(), after=cursor, limit=limit)
        assert len(page.data) <= limit
        found += page.data
        cursor = page.next_cursor
        if rest:
            partition, documents, is_later = rest.pop(0)
            world.now_us += 1_000 * is_later
            if documents:
                await world.workshop.submit(bases[partition], documents)
        elif not page.has_more:
            break
    assert by_partition(found) == {key: ids for key, ids in (await world.everything()).items() if ids}
    assert (await world.feed.read(EventFilter(), after=cursor)).data == (), "everything was told"


async def test_facts_of_all_partitions_come_by_the_time_at_which_the_log_took_them(world: World) -> None:
    bases = [await world.workshop.create(f"kb {one}", partition=one) for one in range(PARTITIONS)]
    expected: list[str] = list(bases)
    for number in (2, 0, 1, 2):
        world.now_us += 1_000
        task, (document,) = await world.workshop.submit(bases[number])
        expected += (task, document)
    page = await world.feed.read(EventFilter())
    assert [one.stream_id for one in page.data] == expected
    assert not page.has_more


@pytest.mark.parametrize("is_projected", [True, False])
async def test_a_knowledge_base_is_told_with_its_tasks_and_documents_and_nothing_else(
    world: World, is_projected: bool
) -> None:
    """Both are in the same partition; the owner of a stream is found whether the views know it yet or not."""
    meant, other = [await world.workshop.create(name, partition=1) for name in ("meant", "other")]
    streams: set[str] = {meant}
    for knowledge_base in (meant, other, meant):
        task, documents = await world.workshop.through(knowledge_base, 2)
        if knowledge_base == meant:
            streams |= {task, *documents}
            await world.workshop.work(documents[0], RemoveDocument())
    if is_projected:
        await project(world.log, world.views)
    expected = [one for one in await world.log.read(1) if isinstance(one, Envelope) and one.stream_id in streams]
    found: list[RecordedFact] = []
    cursor: str | None = None
    while True:
        page = await world.feed.read(EventFilter(knowledge_base=meant), after=cursor, limit=5)
        found += page.data
        cursor = page.next_cursor
        if not page.has_more:
            break
    assert [one.event_id for one in found] == [one.event_id for one in expected]


async def test_types_are_told_alone_and_the_cursor_passes_the_others(world: World) -> None:
    knowledge_base = await world.workshop.create()
    await world.workshop.through(knowledge_base, 3)
    wanted = EventFilter(types=frozenset({"DocumentIndexed", "TaskFinished"}))
    first = await world.feed.read(wanted, limit=2)
    assert [one.type for one in first.data] == ["DocumentIndexed"] * 2
    rest = await world.feed.read(wanted, after=first.next_cursor)
    assert [one.type for one in rest.data] == ["DocumentIndexed", "TaskFinished"]
    assert not rest.has_more


async def test_the_end_is_a_cursor_behind_everything_that_is_there(world: World) -> None:
    knowledge_base = await world.workshop.create()
    now = await world.feed.read(EventFilter(), after=END)
    assert (now.data, now.has_more) == ((), False)
    task, _ = await world.workshop.submit(knowledge_base)
    page = await world.feed.read(EventFilter(), after=now.next_cursor)
    assert [one.type for one in page.data] == ["TaskSubmitted", "DocumentAccepted"]
    assert page.data[0].stream_id == task


async def test_a_cursor_is_good_for_the_feed_that_gave_it_out_alone(world: World) -> None:
    knowledge_base = await world.workshop.create()
    cursor = (await world.feed.read(EventFilter())).next_cursor
    for wanted in (EventFilter(knowledge_base=knowledge_base), EventFilter(types=frozenset({"TaskFinished"}))):
        with pytest.raises(InvalidCursor):
            await world.feed.read(wanted, after=cursor)
    with pytest.raises(InvalidCursor):
        await world.feed.read(EventFilter(), after="x" + cursor[1:])


async def test_facts_that_the_log_holds_no_longer_are_not_passed_over_in_silence(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    cursor = (await world.feed.read(EventFilter(knowledge_base=knowledge_base))).next_cursor
    await world.workshop.submit(knowledge_base, 2)
    world.log.forgotten = 1
    assert len((await world.feed.read(EventFilter(knowledge_base=knowledge_base), after=cursor)).data) == 3
    world.log.forgotten = 2
    with pytest.raises(InvalidCursor, match="does not reach back"):
        await world.feed.read(EventFilter(knowledge_base=knowledge_base), after=cursor)


async def test_an_unknown_knowledge_base_is_refused_and_a_deleted_one_keeps_its_history(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await world.feed.read(EventFilter(knowledge_base=new_knowledge_base()))
    assert refused.value.code is RefusalCode.UNKNOWN_KNOWLEDGE_BASE
    knowledge_base = await world.workshop.create()
    await world.workshop.tell(knowledge_base, DeleteKnowledgeBase())
    page = await world.feed.read(EventFilter(knowledge_base=knowledge_base))
    assert [one.type for one in page.data] == ["KnowledgeBaseCreated", "KnowledgeBaseDeleted"]


async def test_what_nobody_can_read_is_passed_over(world: World) -> None:
    await world.workshop.create(partition=0)
    world.log.put_raw(0, b"junk")
    knowledge_base = await world.workshop.create(partition=0)
    page = await world.feed.read(EventFilter())
    assert [one.stream_id for one in page.data][-1] == knowledge_base
    assert len(page.data) == 2
