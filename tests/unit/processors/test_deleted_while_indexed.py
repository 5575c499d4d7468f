"""A knowledge base is deleted while its documents are written into the index: nothing of it is left, whoever was last.

The moment of the deletion is varied on both sides: where the attempt stands when it begins, and where the erasure
stands when the attempt goes on.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from domain.commands import DeleteKnowledgeBase, EditChunk
from domain.deciders import knowledge_base_decider
from domain.document import Erased
from domain.handle import handle
from domain.knowledge_base import DeletedKnowledgeBase
from events.ids import DocumentId, KnowledgeBaseId, partition_of
from events.inbox import Delivery, InboxDepth
from events.steps import Step
from knowledge.chunk import chunk_ids
from knowledge.index import IndexRow, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.memory_index import MemoryIndex
from processors.erase import EraseStep
from processors.errands import ErrandDeliveries
from processors.leftovers import erase_rows
from tests.contract.index_contract import rows_of
from tests.examples import is_thorough
from tests.unit.processors.chunked_document import CHUNKS, World

WHOLE = 0
"""The erasure ends before the attempt goes on; else it stands still before its first or second drop."""

Hook = Callable[[], Awaitable[None]]


class Moments:
    """Before an index of any kind: what shall happen at each moment, once."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.hooks: dict[str, Hook] = {}
        self.at_drop: Hook | None = None

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        await self._pass("before the rows")
        written: int = await super().upsert(table, document_id, rows, fence=fence)  # type: ignore[misc]
        await self._pass("behind the rows")
        return written

    async def drop(self, table: IndexTable) -> None:
        if self.at_drop is not None:
            await self.at_drop()
        await super().drop(table)  # type: ignore[misc]

    async def _create(self, table: IndexTable, dimensions: int) -> Any:
        made = await super()._create(table, dimensions)  # type: ignore[misc]
        await self._pass("behind the table")
        return made

    async def _pass(self, moment: str) -> None:
        if (hook := self.hooks.pop(moment, None)) is not None:
            await hook()


class MemoryMoments(Moments, MemoryIndex):
    pass


class LanceMoments(Moments, LanceIndex):
    pass


class Deleted:
    """A knowledge base with a document that is searchable, or none, and one that is being written."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.world = World(index=index)
        self.documents: list[DocumentId] = []
        mill = self.world.mill
        step = EraseStep(
            self.world.blobs,
            index,
            self.world.knowledge_bases,
            self._documents_of,
            mill.bench("eraser"),
            time_limit_s=60,
        )
        self._errand = ErrandDeliveries(step, mill.bench("eraser"))
        self._late: list[Delivery] = []
        self._may_go_on = asyncio.Event()
        self._erasing: asyncio.Task[None] | None = None

    async def _documents_of(self, _: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]:
        for document in self.documents:
            yield document

    async def prepare(self, *, is_first: bool) -> None:
        self.documents.append(await self.world.chunked())
        await self.world.run(self.world.embed)
        if not is_first:
            await self.world.run(self.world.indexing)
            self.documents.append(await self.world.chunked_too(["another"]))
            await self.world.run(self.world.embed)

    async def delete(self, stands_at: int) -> None:
        """Returns when the erasure stands there."""
        mill = self.world.mill
        kb = mill.knowledge_base
        await handle(mill.log, knowledge_base_decider(kb), kb, [DeleteKnowledgeBase()], mill.context(kb))
        standing = asyncio.Event()
        drops = 0

        async def at_drop() -> None:
            nonlocal drops
            if asyncio.current_task() is not self._erasing:
                return
            drops += 1
            if drops == stands_at:
                standing.set()
                await self._may_go_on.wait()

        self.index.at_drop = at_drop
        self._erasing = asyncio.create_task(self._erase_all())
        waiting = asyncio.create_task(standing.wait())
        await asyncio.wait({waiting, self._erasing}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def end(self) -> None:
        """The erasure goes on to its end; whatever it found to be left is looked at again."""
        self._may_go_on.set()
        assert self._erasing is not None
        await self._erasing
        await self._erase_all()
        assert self._late == []

    async def _erase_all(self) -> None:
        late, self._late = self._late, []
        while taken := [*late, *await self.world.mill.take(Step.ERASE, consumer="eraser", count=100)]:
            late = []
            for delivery in taken:
                if await self._errand.carry_out(delivery, 1) is not None:
                    self._late.append(delivery)

    async def left(self) -> dict[str, Any]:
        tables = await self.index.tables()
        return {
            "tables": [table for table in tables if table.knowledge_base_id == self.world.mill.knowledge_base],
            "blobs": [info.key async for info in self.world.blobs.list("documents/")],
            "states": [type(await self.world.mill.document(one)) for one in self.documents],
            "deliveries": [await self.world.mill.depth(step) for step in (Step.INDEX, Step.ERASE, Step.REVISE)],
        }


NOTHING = InboxDepth(waiting=0, pending=0)


def nothing_of(documents: int) -> dict[str, Any]:
    return {"tables": [], "blobs": [], "states": [Erased] * documents, "deliveries": [NOTHING] * 3}


@pytest.fixture(params=["memory", "lance"] if is_thorough() else ["memory"])
async def deleted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deleted]:
    index = MemoryMoments() if request.param == "memory" else LanceMoments(str(tmp_path / "index"))
    found = Deleted(index)
    yield found
    if isinstance(index, LanceIndex):
        await index.close()
        kb = found.world.mill.knowledge_base
        assert below(tmp_path, kb) == [], "no part of a table is left"


def below(folder: Path, name: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if name in str(path)]


@pytest.mark.parametrize("stands_at", [WHOLE, 1, 2])
@pytest.mark.parametrize("moment", ["before the rows", "behind the table", "behind the rows"])
@pytest.mark.parametrize("is_first", [True, False], ids=["the first document", "a further one"])
async def test_nothing_is_left_of_a_knowledge_base_that_is_deleted_while_a_document_is_indexed(
    deleted: Deleted, moment: str, stands_at: int, is_first: bool
) -> None:
    await deleted.prepare(is_first=is_first)
    deleted.index.hooks[moment] = lambda: deleted.delete(stands_at)
    await deleted.world.run(deleted.world.indexing)
    if deleted.index.hooks:  # a table in memory is not made, and one that is there is not made again
        await deleted.delete(stands_at)
    await deleted.end()
    assert await deleted.left() == nothing_of(len(deleted.documents))


@pytest.mark.parametrize("stands_at", [WHOLE, 1, 2])
@pytest.mark.parametrize("moment", ["before the rows", "behind the rows"])
async def test_nothing_is_left_where_the_rows_of_a_change_come_behind_the_deletion(
    deleted: Deleted, moment: str, stands_at: int
) -> None:
    await deleted.prepare(is_first=True)
    await deleted.world.run(deleted.world.indexing)
    (document,) = deleted.documents
    (chunk, *_) = chunk_ids(document, [f"passage {ordinal}" for ordinal in range(CHUNKS)])
    await deleted.world.mill.say(document, EditChunk(chunk_id=chunk, text="edited", enabled=True))
    deleted.index.hooks[moment] = lambda: deleted.delete(stands_at)
    mill = deleted.world.mill
    errand = ErrandDeliveries(deleted.world.revising, mill.bench())
    assert await errand.carry_out(await mill.take_one(Step.REVISE), 1) is None
    await deleted.end()
    assert await deleted.left() == nothing_of(1)


@pytest.mark.parametrize("rows_first", [True, False])
async def test_of_several_that_write_late_the_last_one_leaves_nothing(deleted: Deleted, rows_first: bool) -> None:
    await deleted.prepare(is_first=True)
    second = await deleted.world.chunked_too(["another"])
    deleted.documents.append(second)
    await deleted.world.run(deleted.world.embed)
    one, other = await deleted.world.mill.take(Step.INDEX, count=2)

    async def the_other_ends() -> None:
        """Wholly, beside one that has still to write its rows, or to take them back."""
        await deleted.delete(WHOLE)
        await deleted.world.run(deleted.world.indexing, other)

    deleted.index.hooks["behind the rows" if rows_first else "before the rows"] = the_other_ends
    await deleted.world.run(deleted.world.indexing, one)
    await deleted.end()
    assert await deleted.left() == nothing_of(2)


async def test_rows_alone_are_taken_back_where_the_log_has_lost_the_deletion() -> None:
    """A fail-over: the knowledge base lives on, and its other documents are searched."""
    deleted = Deleted(MemoryIndex())
    await deleted.prepare(is_first=False)
    mill, known, index = deleted.world.mill, deleted.world.knowledge_bases, deleted.index
    kb, (first, _) = mill.knowledge_base, deleted.documents
    table = IndexTable(kb, 1)
    rows = await index.count(table, first)
    await index.upsert(table, "doc_late", rows_of("doc_late", ["late"]), fence=1)
    store, partition = mill.log.store, partition_of(kb)
    before = copy.deepcopy(store.partitions[partition])
    await handle(mill.log, knowledge_base_decider(kb), kb, [DeleteKnowledgeBase()], mill.context(kb))
    assert isinstance(await known.state(kb, is_fresh=True), DeletedKnowledgeBase)
    store.partitions[partition] = before

    await erase_rows(index, known, kb, "doc_late", fence=1)
    assert (await index.count(table, first), await index.count(table, "doc_late")) == (rows, 0)
    assert rows
