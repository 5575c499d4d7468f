"""DocumentEmbedded -> searchable."""

import asyncio

from blobs.store import BlobStore
from domain.commands import RecordIndexed
from domain.document import Cancelled, DocumentState, Embedded, Erased, Failed, Removed, record_of
from domain.replacing import replaced_by
from events.failpoints import Place, failpoint
from events.steps import Step
from knowledge.chunk import indexed_text
from knowledge.errors import KnowledgeError, Overtaken
from knowledge.index import Index, IndexRow, IndexTable, vector_key_of
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
            indexed = await self._index.upsert(table, work.document_id, rows, fence=work.version)
        except Overtaken:
            return Superseded()
        except KnowledgeError as error:
            if outcome_of(error) is not None:
                raise
            return Reject("index_refused", shortened(str(error)))
        failpoint(Place.WORKER_ROWS_WRITTEN)
        recorded = RecordIndexed(attempt=work.attempt, generation=generation, chunks=indexed)
        return Done((recorded,), replaces=replaced_by(work.document))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """Rows that nobody wants are taken out: those of a document that is gone, or that never was searchable.

        Rows beside those of a newer attempt need nothing: the fence kept them out, or the newer ones replaced them.
        """
        match now:
            case Removed() | Erased():
                await self._erase(work)
                await erase_leftovers(self._blobs, work, now)
            case Failed() | Cancelled() if record_of(now).serving is None:
                await self._erase(work)
            case _:
                return  # a newer attempt wrote, or is on its way to write, all rows anew

    async def _erase(self, work: Work) -> None:
        """Up to its own fence: whoever begins the document again meanwhile writes behind it."""
        for table in await self._knowledge_bases.tables(work.delivery.knowledge_base_id):
            await self._index.erase(table, work.document_id, fence=work.version)

    async def _rows(self, document_id: str, document: Embedded) -> list[IndexRow]:
        chunks, vectors = await asyncio.gather(
            load_chunks(self._blobs, document.chunks), load_vectors(self._blobs, document.batches)
        )
        about, made_by = document.record.about, document.vectors
        return [
            IndexRow(
                document_id=document_id,
                filename=about.filename,
                chunk=chunk,
                vector=vector,
                metadata=about.metadata,
                vector_key=vector_key_of(made_by.model, made_by.dimensions, indexed_text(chunk)),
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
