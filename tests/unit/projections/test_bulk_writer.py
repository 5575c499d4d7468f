"""Views that are built many pages at a time are those that are built page by page."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.envelope import Envelope, Position
from events.log import Unreadable
from events.task import CallbackFailed, TaskFinished, TaskSubmitted
from projections.building import building
from projections.bulk_writer import BulkWriter, Follower
from projections.memory_views import MemoryViews
from projections.projection import TASKS, RowKey
from projections.rows import decode_row
from projections.tasks import TaskRow, is_at_rest
from projections.views import Checkpoint, Commit, Lease
from projections.writer import LEASE_MS, Writer
from projections.written_rows import WrittenRows
from tests.event_samples import new_knowledge_base, new_task, write
from tests.examples import examples
from tests.generations import compare
from tests.histories import (
    History,
    envelopes_of,
    histories_of_documents,
    interleavings,
    knowledge_base_stories,
    task_stories,
)
from tests.projecting import pages_of

cuts = st.lists(st.integers(0, 200), max_size=12)

BESIDE = 2
"""The generation that is built beside the live one."""


def worlds() -> st.SearchStrategy[History]:
    """Documents, a task and a knowledge base in one log, with some events twice and some lost: what cannot follow is
    passed over alike."""
    whole = st.tuples(
        histories_of_documents(documents_max=3),
        task_stories().map(envelopes_of),
        knowledge_base_stories().map(envelopes_of),
    ).flatmap(lambda parts: interleavings((*parts[0], parts[1], parts[2])))
    return st.tuples(whole, st.lists(st.integers(0, 300), max_size=3), st.lists(st.integers(0, 300), max_size=3)).map(
        lambda found: _damaged(*found)
    )


def _damaged(events: History, lost: list[int], twice: list[int]) -> History:
    kept = [one for place, one in enumerate(events) if place not in lost]
    for place in twice:
        if place < len(kept):
            kept.append(kept[place])
    return tuple(kept)


class FarViews(MemoryViews):
    """A commit takes so many turns of the loop."""

    def __init__(self, turns: int) -> None:
        super().__init__(partitions=1, clock_ms=lambda: 1_000)
        self.turns = turns
        self.under_way = set[int]()

    async def commit(self, commit: Commit) -> bool:
        generation = commit.lease.generation
        assert generation not in self.under_way, "each follows from the one before it"
        self.under_way.add(generation)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.under_way.remove(generation)
        return await super().commit(commit)


def _views() -> MemoryViews:
    return MemoryViews(partitions=1, clock_ms=lambda: 1_000)


async def _lease(views: MemoryViews, generation: int, *, build: bool = False) -> Lease:
    found = await views.acquire(0, generation, holder="one", lease_ms=LEASE_MS, build=build)
    assert isinstance(found, Lease)
    return found


def _placed(events: History) -> list[Envelope]:
    """As the log gives them."""
    return [replace(one, position=Position(1, 1_000, place), number=place) for place, one in enumerate(events, start=1)]


@settings(max_examples=examples(30), deadline=None)
@given(
    worlds(),
    cuts,
    st.integers(1, 5),
    st.sampled_from([1, 4, 1_000]),
    st.integers(0, 40),
    st.sampled_from([1, 8, 4_096]),
    st.integers(0, 9),
)
async def test_many_pages_a_commit_lead_where_one_leads(
    events: History,
    places: list[int],
    pages_a_commit: int,
    rows_a_commit: int,
    foreign: int,
    written_places: int,
    turns: int,
) -> None:
    views, log = FarViews(turns), _placed(events)
    live = Writer(views, await _lease(views, 1), rows_max=3)
    built = BulkWriter(
        views,
        await _lease(views, BESIDE, build=True),
        pages_a_commit=pages_a_commit,
        rows_a_commit=rows_a_commit,
        written=WrittenRows(written_places),
    )
    pages: list[list[Envelope | Unreadable]] = [list(page) for page in pages_of(log, places)]
    if pages:
        page = pages[foreign % len(pages)]
        page.insert(0, Unreadable(page[0].position or Position(1, 0, 0), 0, b"", "a foreign entry"))
    for page in pages:
        assert await live.write(page)
        assert await built.write(page)
        assert built.checkpoint == live.lease.checkpoint
    assert await built.commit()
    assert built.lease.checkpoint == live.lease.checkpoint == await views.checkpoint(0, BESIDE)
    assert await compare(views, 0, 1, BESIDE) == []


@settings(max_examples=examples(10), deadline=None)
@given(worlds(), cuts, st.integers(1, 5))
async def test_tasks_that_the_live_views_retired_are_left_out_however_many_pages_a_commit_has(
    events: History, places: list[int], pages_a_commit: int
) -> None:
    views, log = _views(), _placed(events)
    before_us = max((one.recorded_at_us for one in log), default=0) + 1
    built = BulkWriter(
        views, await _lease(views, BESIDE, build=True), retired_before_us=before_us, pages_a_commit=pages_a_commit
    )
    for page in pages_of(log, places):
        assert await built.write(page)
    assert await built.commit()
    rows = [decode_row(TASKS, payload) async for _, payload in views.scan_rows(0, BESIDE, TASKS)]
    assert [row for row in rows if isinstance(row, TaskRow) and is_at_rest(row)] == []
    assert built.lease.checkpoint.retired_before_us == before_us


async def test_a_row_that_changed_on_every_page_is_written_once() -> None:
    views, commits = _views(), list[Commit]()
    built = BulkWriter(views, await _lease(views, BESIDE, build=True), on_commit=commits.append, pages_a_commit=3)
    knowledge_base, task = new_knowledge_base(0), new_task(0)
    facts = (
        TaskSubmitted(knowledge_base_id=knowledge_base, documents=0, callback_url="http://example.org"),
        TaskFinished(succeeded=0, failed=0, cancelled=0, skipped=0),
        CallbackFailed(attempt=1, status_code=500),
    )
    envelopes = write(task, 0, *facts, knowledge_base=knowledge_base, task=task).envelopes
    for event in _placed(envelopes):
        assert await built.write([event])
    assert await built.commit()
    (commit,) = commits
    assert RowKey(TASKS, task) in commit.rows
    assert commit.checkpoint.number == 3
    assert all(change.removed == () for change in commit.indexes), "no list had it before"


async def test_whoever_lost_the_lease_writes_nothing_more() -> None:
    views = _views()
    built = BulkWriter(views, await _lease(views, BESIDE, build=True))
    await views.acquire(0, BESIDE, holder="other", lease_ms=LEASE_MS, build=True, seize=True)
    knowledge_base, task = new_knowledge_base(0), new_task(0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    page = _placed(write(task, 0, submitted, knowledge_base=knowledge_base, task=task).envelopes)
    assert await built.write(page), "it waits for others"
    assert not await built.commit()
    assert await views.checkpoint(0, BESIDE) == Checkpoint()


async def test_a_page_is_folded_while_a_commit_is_under_way_and_the_loss_of_the_lease_is_told_behind_it() -> None:
    views, pages = FarViews(turns=20), list[int]()
    follower = Follower(on_page=lambda page, _: pages.append(len(page)))
    built = BulkWriter(views, await _lease(views, BESIDE, build=True), pages_a_commit=1, follower=follower)
    await views.acquire(0, BESIDE, holder="other", lease_ms=LEASE_MS, build=True, seize=True)
    first, second = _placed(_submission())[:1], _placed(_submission() + _submission())[1:2]
    assert await built.write(first)
    assert views.under_way == {BESIDE}
    assert not await built.write(second)
    assert pages == [1, 1], "it was folded first"
    assert not await built.commit()
    assert await views.checkpoint(0, BESIDE) == Checkpoint()


async def test_nothing_is_under_way_behind_a_build_that_is_broken_off() -> None:
    views = FarViews(turns=20)
    built = BulkWriter(views, await _lease(views, BESIDE, build=True), pages_a_commit=1)
    with suppress(ZeroDivisionError):
        async with building(views, built):
            assert await built.write(_placed(_submission()))
            assert views.under_way == {BESIDE}
            raise ZeroDivisionError
    assert views.under_way == set()
    assert (await views.checkpoint(0, BESIDE)).number == 1
    assert isinstance(await views.acquire(0, BESIDE, holder="next", lease_ms=LEASE_MS, build=True), Lease)


async def test_nothing_is_under_way_behind_a_build_that_is_cancelled_while_it_waits_for_a_commit() -> None:
    """A call of Redis that is broken off may still take effect, after the lease was given up."""
    views = FarViews(turns=20)
    built = BulkWriter(views, await _lease(views, BESIDE, build=True))

    async def build() -> None:
        async with building(views, built):
            assert await built.write(_placed(_submission()))
            await built.commit()

    task = asyncio.create_task(build())
    for _ in range(9):
        await asyncio.sleep(0)
    assert views.under_way == {BESIDE}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert views.under_way == set()
    assert (await views.checkpoint(0, BESIDE)).number == 1


def _submission() -> tuple[Envelope, ...]:
    knowledge_base, task = new_knowledge_base(0), new_task(0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    return write(task, 0, submitted, knowledge_base=knowledge_base, task=task).envelopes


@pytest.mark.parametrize("pages", [0, 1])
async def test_nothing_is_committed_where_nothing_waits(pages: int) -> None:
    views, commits = _views(), list[Commit]()
    built = BulkWriter(views, await _lease(views, BESIDE, build=True), on_commit=commits.append, pages_a_commit=1)
    knowledge_base, task = new_knowledge_base(0), new_task(0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    for _ in range(pages):
        await built.write(_placed(write(task, 0, submitted, knowledge_base=knowledge_base, task=task).envelopes))
    assert await built.commit()
    assert len(commits) == pages
