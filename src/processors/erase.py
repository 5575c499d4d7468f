"""DocumentRemoved -> nothing left, and the proof of it. KnowledgeBaseDeleted -> documents removed, index dropped."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from blobs.store import BlobStore
from domain.amounts import counted
from domain.commands import RecordErased, RemoveDocument
from domain.decider import Decider
from domain.deciders import DOCUMENT
from domain.handle import handle
from domain.knowledge_base import DeletedKnowledgeBase
from events.ids import DocumentId, KnowledgeBaseId, StreamKind, kind_of
from events.inbox import Delivery
from events.steps import Step
from knowledge.index import Index
from processors.artifacts import prefix_of
from processors.knowledge_bases import KnowledgeBases
from processors.step import Done, Drop, Outcome, Retry
from processors.workbench import Workbench

REMOVED_TOGETHER_MAX: Final = 32
"""Documents of a deleted knowledge base that are removed at a time; each costs two calls of the log."""


class DocumentsOf(Protocol):
    """Lists the documents of a knowledge base: at least all that were accepted before it was deleted."""

    def __call__(self, knowledge_base: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]: ...


class EraseStep:
    """Erases documents and knowledge bases. Every part of it may be repeated."""

    step = Step.ERASE

    def __init__(
        self,
        blobs: BlobStore,
        index: Index,
        knowledge_bases: KnowledgeBases,
        documents_of: DocumentsOf,
        bench: Workbench,
        *,
        time_limit_s: float,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._knowledge_bases = knowledge_bases
        self._documents_of = documents_of
        self._bench = bench
        self.time_limit_s = time_limit_s

    def subject(self, delivery: Delivery) -> tuple[Decider[Any, Any], str]:
        return DOCUMENT, delivery.stream_id

    async def run(self, delivery: Delivery) -> Outcome:
        """Raises what blobs, index and log raise."""
        if kind_of(delivery.stream_id) is StreamKind.KNOWLEDGE_BASE:
            return await self._erase_knowledge_base(delivery)
        return await self._erase_document(delivery)

    async def _erase_document(self, delivery: Delivery) -> Outcome:
        document, knowledge_base = delivery.stream_id, delivery.knowledge_base_id
        rows_left = 0
        tables = await self._knowledge_bases.tables(knowledge_base)
        # A write to a table that is being dropped would leave a part of it behind, and all rows go with it.
        is_dropped = isinstance(await self._knowledge_bases.state(knowledge_base), DeletedKnowledgeBase)
        for table in tables:
            if not is_dropped:
                await self._index.erase(table, document)
            rows_left += await self._index.count(table, document)
        await self._blobs.delete_prefix(prefix_of(document))
        blobs_left = 0
        async for _ in self._blobs.list(prefix_of(document)):
            blobs_left += 1
        if rows_left or blobs_left:
            return Retry("erase_incomplete", f"{counted(rows_left, 'row')} and {counted(blobs_left, 'blob')} left")
        return Done((RecordErased(rows_left=rows_left, blobs_left=blobs_left),))

    async def _erase_knowledge_base(self, delivery: Delivery) -> Outcome:
        """The index goes first, so that its documents find nothing there to wait for, and once more when nobody can
        have put anything into it any more."""
        await self._drop(delivery)
        together: list[DocumentId] = []
        removed = 0
        async for document in self._documents_of(KnowledgeBaseId(delivery.stream_id)):
            together.append(document)
            removed += 1
            if len(together) == REMOVED_TOGETHER_MAX:
                await self._remove(delivery, together)
                together.clear()
        await self._remove(delivery, together)
        await self._drop(delivery)
        return Drop(f"{counted(removed, 'document')} removed, index dropped")

    async def _drop(self, delivery: Delivery) -> None:
        for table in await self._knowledge_bases.tables(KnowledgeBaseId(delivery.stream_id)):
            await self._index.drop(table)

    async def _remove(self, delivery: Delivery, documents: list[DocumentId]) -> None:
        """The removals fence running attempts off; each document is then erased by a delivery of its own."""
        command = RemoveDocument(reason="the knowledge base was deleted")
        context = self._bench.context(delivery)
        await asyncio.gather(
            *(handle(self._bench.log, DOCUMENT, document, [command], context) for document in documents)
        )
