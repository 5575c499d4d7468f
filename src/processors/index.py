"""DocumentEmbedded -> searchable."""

from domain.commands import RecordIndexed
from domain.document import Cancelled, DocumentState, Embedded, Erased, Failed, Removed, record_of
from domain.replacing import replaced_by
from events.failpoints import Place, failpoint
from events.steps import Step
from knowledge.errors import KnowledgeError, Overtaken
from knowledge.index import Index, IndexTable
from processors.bundle import StepBlobs
from processors.failures import outcome_of, shortened
from processors.given_up import given_up
from processors.group_commit import GroupCommit
from processors.knowledge_bases import KnowledgeBases
from processors.leftovers import erase_leftovers, erase_rows
from processors.row_budget import RowBudget
from processors.rows import RowMaker
from processors.step import Done, Outcome, Reject, Superseded, Work


class IndexStep:
    """Makes a document's chunks its only rows in the index generation that they were made for."""

    step = Step.INDEX

    def __init__(
        self,
        blobs: StepBlobs,
        index: Index,
        knowledge_bases: KnowledgeBases,
        rows: RowMaker,
        *,
        group: GroupCommit,
        budget: RowBudget,
        time_limit_s: float,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._knowledge_bases = knowledge_bases
        self._rows = rows
        self._group = group
        self._budget = budget
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises BlobCorrupt, EmbeddingError, IndexUnavailable, Refused and what the blob store raises."""
        if not isinstance(work.document, Embedded):
            return Superseded()
        number = work.document.chunks.generation
        found = (await work.knowledge_base()).generation_of(number)
        found = found or (await work.knowledge_base_now()).generation_of(number)
        if found is None:
            return given_up()
        table = IndexTable(work.delivery.knowledge_base_id, found.number)
        async with self._budget.lent(work.document.chunks.chunks):
            return await self._index_document(work, work.document, table)

    async def _index_document(self, work: Work, document: Embedded, table: IndexTable) -> Outcome:
        made = await self._rows.rows(work.document_id, document, table)
        try:
            async with self._group.together(work.document_id):
                await self._index.upsert(table, work.document_id, made.rows, fence=work.fence)
        except Overtaken:
            return Superseded()
        except KnowledgeError as error:
            if outcome_of(error) is not None:
                raise
            return Reject("index_refused", shortened(str(error)))
        failpoint(Place.WORKER_ROWS_WRITTEN)
        recorded = RecordIndexed(
            attempt=work.attempt,
            generation=table.generation,
            chunks=document.chunks.chunks,
            edits_lost=made.edits_lost,
            changes=document.record.changes,
        )
        return Done((recorded,), replaces=replaced_by(document))

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
        knowledge_base = work.delivery.knowledge_base_id
        await erase_rows(self._index, self._knowledge_bases, knowledge_base, work.document_id, fence=work.fence)
