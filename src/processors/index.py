"""DocumentEmbedded -> searchable."""

import asyncio

from blobs.store import BlobStore
from domain.commands import RecordIndexed
from domain.document import Cancelled, DocumentState, Embedded, Erased, Failed, Indexed, Removed, record_of
from events.steps import Step
from knowledge.errors import KnowledgeError
from knowledge.index import Index, IndexRow, IndexTable
from processors.failures import outcome_of, shortened
from processors.knowledge_bases import KnowledgeBases
from processors.leftovers import erase_leftovers
from processors.step import Done, Outcome, Reject, Superseded, Work
from processors.stored import load_chunks, load_vectors


class IndexStep:
    """Makes a document's chunks its only rows in the live generation of its knowledge base."""

    step = Step.INDEX

    def __init__(self, blobs: BlobStore, index: Index, knowledge_bases: KnowledgeBases, *, time_limit_s: float) -> None:
        self._blobs = blobs
        self._index = index
        self._knowledge_bases = knowledge_bases
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises BlobCorrupt, IndexUnavailable, Refused and what the blob store raises."""
        if not isinstance(work.document, Embedded):
            return Superseded()
        generation = (await work.knowledge_base()).generation
        table = IndexTable(work.delivery.knowledge_base_id, generation)
        rows = await self._rows(work.document_id, work.document)
        try:
            indexed = await self._index.upsert(table, work.document_id, rows)
        except KnowledgeError as error:
            if outcome_of(error) is not None:
                raise
            return Reject("index_refused", shortened(str(error)))
        return Done((RecordIndexed(attempt=work.attempt, generation=generation, chunks=indexed),))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """Rows that a paused worker wrote too late are taken out, or replaced by those that are due.

        The index knows no versions, so the late writer itself puts things right: it learns from the refusal of its
        result that it was late.
        """
        match now:
            case Removed() | Erased():
                await self._erase(work)
                await erase_leftovers(self._blobs, work, now)
            case Failed() | Cancelled() if record_of(now).serving is None:
                await self._erase(work)
            case Indexed():
                table = IndexTable(work.delivery.knowledge_base_id, now.generation)
                await self._index.upsert(table, work.document_id, await self._rows(work.document_id, now))
            case _:
                return  # another attempt is on its way to write all rows anew

    async def _erase(self, work: Work) -> None:
        for table in await self._knowledge_bases.tables(work.delivery.knowledge_base_id):
            await self._index.erase(table, work.document_id)

    async def _rows(self, document_id: str, document: Embedded | Indexed) -> list[IndexRow]:
        chunks, vectors = await asyncio.gather(
            load_chunks(self._blobs, document.chunks), load_vectors(self._blobs, document.batches)
        )
        about = document.record.about
        return [
            IndexRow(
                document_id=document_id, filename=about.filename, chunk=chunk, vector=vector, metadata=about.metadata
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
