"""Finishing tasks and erasing."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from blobs.memory import MemoryBlobStore
from domain.commands import CancelDocument, DeleteKnowledgeBase, RemoveDocument
from domain.deciders import knowledge_base_decider
from domain.document import Erased, Removed
from domain.handle import handle
from domain.task import FinishedTask, TaskOutcome
from events.document import DocumentErased
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.inbox import Delivery, InboxDepth
from events.steps import Step
from events.task import TaskFinished
from knowledge.chunk import Chunk
from knowledge.errors import IndexUnavailable
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import IndexRow, IndexTable
from knowledge.memory_index import MemoryIndex
from processors.erase import EraseStep
from processors.errands import ErrandDeliveries
from processors.finish import FinishStep
from processors.knowledge_bases import KnowledgeBases
from tests.unit.processors.mill import Mill

NOTHING = InboxDepth(waiting=0, pending=0)


async def end_all(mill: Mill, documents: Sequence[DocumentId]) -> None:
    await asyncio.gather(*(mill.say(document, CancelDocument()) for document in documents))


async def finish(mill: Mill) -> int:
    """Carries out every finish delivery; answers how many there were."""
    errand = ErrandDeliveries(FinishStep(mill.log, time_limit_s=5), mill.bench())
    deliveries = await mill.take(Step.FINISH, count=100)
    answers = await asyncio.gather(*(errand.carry_out(one, 1) for one in deliveries))
    assert answers == [None] * len(deliveries)
    return len(deliveries)


async def test_the_last_of_many_documents_ends_the_task_once() -> None:
    mill = Mill()
    task, documents = await mill.submit(50)
    await end_all(mill, documents[:-1])
    assert await mill.take(Step.FINISH) == []
    await end_all(mill, documents[-1:])
    assert await finish(mill) == 1
    state = await mill.task(task)
    assert isinstance(state, FinishedTask)
    assert state.outcome is TaskOutcome.CANCELLED
    assert await mill.depth(Step.FINISH) == NOTHING


async def test_a_second_delivery_of_a_finished_task_is_acknowledged_without_an_event() -> None:
    mill = Mill()
    task, documents = await mill.submit(2)
    await end_all(mill, documents)
    delivery = await mill.take_one(Step.FINISH)
    errand = ErrandDeliveries(FinishStep(mill.log, time_limit_s=5), mill.bench())
    await asyncio.gather(*(errand.carry_out(delivery, 1) for _ in range(5)))
    assert [type(event) for event in await mill.history(task)].count(TaskFinished) == 1
    await errand.carry_out(delivery, 1)
    assert [type(event) for event in await mill.history(task)].count(TaskFinished) == 1
    assert await mill.depth(Step.FINISH) == NOTHING


class World:
    """A knowledge base whose documents have rows and blobs."""

    def __init__(self, index: MemoryIndex | None = None) -> None:
        self.mill = Mill()
        self.blobs = MemoryBlobStore()
        self.index = index or MemoryIndex()
        self.documents: list[DocumentId] = []
        self.table = IndexTable(self.mill.knowledge_base, 1)
        step = EraseStep(
            self.blobs,
            self.index,
            KnowledgeBases(self.mill.log, clock_us=self.mill.clock),
            self.documents_of,
            self.mill.bench(),
            time_limit_s=5,
        )
        self.errand = ErrandDeliveries(step, self.mill.bench())

    async def documents_of(self, knowledge_base: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]:
        assert knowledge_base == self.mill.knowledge_base
        for document in self.documents:
            yield document

    async def filled(self, documents: int) -> TaskId:
        await self.mill.create()
        task, self.documents = await self.mill.submit(documents)
        for document in self.documents:
            await self.fill(document)
        return task

    async def fill(self, document: DocumentId) -> None:
        for name in ("source@1", "source@1.json", "text@1", "vectors/0@1"):
            await self.blobs.put(f"documents/{document}/{name}", b"x")
        chunk = Chunk(f"chunk of {document}", 0, "x", 0, 1, None, (), 1)
        vector = (await HashEmbedder(dimensions=4).embed_passages(["x"]))[0]
        await self.index.upsert(self.table, document, [IndexRow(document, "a.txt", chunk, vector)])

    async def blob_count(self) -> int:
        return len([info async for info in self.blobs.list("documents/")])

    async def erase_all(self) -> list[float | None]:
        deliveries = await self.mill.take(Step.ERASE, count=100)
        return list(await asyncio.gather(*(self.errand.carry_out(one, 1) for one in deliveries)))


async def test_nothing_is_left_of_a_removed_document_and_the_log_has_the_proof() -> None:
    world = World()
    await world.filled(2)
    gone, stays = world.documents
    await world.mill.say(gone, RemoveDocument())
    assert await world.erase_all() == [None]
    state = await world.mill.document(gone)
    assert isinstance(state, Erased)
    assert (await world.mill.history(gone))[-1] == DocumentErased(rows_left=0, blobs_left=0)
    assert await world.index.count(world.table, gone) == 0
    assert await world.index.count(world.table, stays) == 1
    assert await world.blob_count() == 4
    assert await world.mill.depth(Step.ERASE) == NOTHING


async def test_an_erasure_that_leaves_something_is_no_erasure() -> None:
    class StubbornIndex(MemoryIndex):
        async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
            return 0

    world = World(StubbornIndex())
    await world.filled(1)
    await world.mill.say(world.documents[0], RemoveDocument())
    (again_s,) = await world.erase_all()
    assert again_s == 0.5
    assert isinstance(await world.mill.document(world.documents[0]), Removed)
    assert (await world.mill.depth(Step.ERASE)).pending == 1


async def test_an_erasure_outlives_an_index_that_is_away() -> None:
    class AbsentIndex(MemoryIndex):
        is_away = True

        async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
            if self.is_away:
                raise IndexUnavailable("locked")
            return await super().erase(table, document_id, fence=fence)

    index = AbsentIndex()
    world = World(index)
    await world.filled(1)
    await world.mill.say(world.documents[0], RemoveDocument())
    delivery: Delivery = await world.mill.take_one(Step.ERASE)
    assert [await world.errand.carry_out(delivery, tries) for tries in (1, 2, 12)] == [0.5, 1.0, 150.0]
    index.is_away = False
    assert await world.errand.carry_out(delivery, 13) is None
    assert isinstance(await world.mill.document(world.documents[0]), Erased)


async def test_deleting_a_knowledge_base_erases_every_document_of_it_and_writes_nothing_to_its_index() -> None:
    class OnlyDropped(MemoryIndex):
        async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
            raise AssertionError("a write beside the drop would leave a part of the table behind")

    world = World(OnlyDropped())
    task = await world.filled(70)
    decider = knowledge_base_decider(world.mill.knowledge_base)
    context = world.mill.context(world.mill.knowledge_base)
    await handle(world.mill.log, decider, world.mill.knowledge_base, [DeleteKnowledgeBase()], context)
    assert await world.erase_all() == [None]
    assert await world.index.count(world.table) == 0
    assert await world.erase_all() == [None] * 70
    assert await world.blob_count() == 0
    assert all([isinstance(await world.mill.document(one), Erased) for one in world.documents])
    assert await world.mill.depth(Step.ERASE) == NOTHING
    assert await finish(world.mill) == 1
    assert isinstance(await world.mill.task(task), FinishedTask)
