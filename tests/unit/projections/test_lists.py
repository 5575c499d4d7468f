"""Cursors under changing rows: what is in a list all along is read once, whatever happens between two pages."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import RemoveDocument
from domain.status import DocumentPhase
from events.ids import DocumentId
from events.memory import MemoryLog
from projections.cursors import Cursors
from projections.document_filter import DocumentFilter
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.examples import examples
from tests.projecting import project
from tests.workshop import Workshop


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        cursors = Cursors(b"a secret of sixteen bytes or more")
        self.lists = Lists(self.log, self.views, Queries(self.log, self.views), cursors)


turns = st.tuples(st.sampled_from(["submit", "start", "remove", "nothing"]), st.integers(0, 30))


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(1, 4), st.booleans(), st.lists(turns, max_size=12))
def test_no_document_is_skipped_or_repeated_while_rows_change(
    limit: int, is_filtered: bool, course: list[tuple[str, int]]
) -> None:
    asyncio.run(_read_documents(limit, DocumentPhase.QUEUED if is_filtered else None, course))


async def _read_documents(limit: int, phase: DocumentPhase | None, course: list[tuple[str, int]]) -> None:
    world = World()
    knowledge_base = await world.workshop.create()
    _, documents = await world.workshop.submit(knowledge_base, 7)
    await project(world.log, world.views)
    left = set[DocumentId]()
    found = list[DocumentId]()
    cursor, rest = None, list(course)
    while True:
        page = await world.lists.documents(
            knowledge_base, wanted=DocumentFilter(phase=phase), limit=limit, cursor=cursor
        )
        found += [one.document_id for one in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        turn, chosen = rest.pop(0) if rest else ("nothing", 0)
        document = documents[chosen % len(documents)]
        match turn:
            case "submit":
                await world.workshop.submit(knowledge_base, 1 + chosen % 3)
            case "start" if document not in left:
                await world.workshop.start(document)
                left.update([document] if phase else [])
            case "remove":
                await world.workshop.work(document, RemoveDocument())
                left.add(document)
            case _:
                pass
        await project(world.log, world.views)
    assert len(found) == len(set(found)), "none twice"
    assert set(documents) - left <= set(found), "none skipped that stayed"


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(1, 3), st.lists(st.sampled_from([0, 1, None]), max_size=10))
def test_no_task_is_skipped_or_repeated_across_partitions(limit: int, course: list[int | None]) -> None:
    asyncio.run(_read_tasks(limit, course))


async def _read_tasks(limit: int, course: list[int | None]) -> None:
    world = World()
    bases = [await world.workshop.create(f"kb {partition}", partition=partition) for partition in range(2)]
    tasks = [(await world.workshop.submit(bases[number % 2]))[0] for number in range(7)]
    await project(world.log, world.views)
    found, cursor, rest = list[str](), None, list(course)
    while True:
        page = await world.lists.tasks(limit=limit, cursor=cursor)
        found += [one.task_id for one in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        partition = rest.pop(0) if rest else None
        if partition is not None:
            await world.workshop.through(bases[partition])
            await project(world.log, world.views)
    assert found == tasks[::-1], "those that came in later stand before the first page"
