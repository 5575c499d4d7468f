"""Questions about one task, document or knowledge base. What was accepted is never unknown, however far behind
the projector is: a missing row is folded from its history.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from domain.errors import RefusalCode, Refused
from domain.knowledge_base import ActiveKnowledgeBase, UnknownKnowledgeBase, active
from domain.knowledge_base_status import KnowledgeBaseCounts, KnowledgeBaseStatus
from domain.status import DocumentStatus, TaskStatus
from domain.task import documents_of
from events.document import DocumentAccepted, DocumentRequested, DocumentSkipped
from events.errors import InvalidId
from events.ids import DocumentId, KnowledgeBaseId, TaskId, document_id, partition_of
from events.log import EventLog
from events.task import TaskSource
from projections import documents, knowledge_bases, tasks
from projections.documents import DocumentRow, documents_index, task_documents_index
from projections.on_demand import behind_the_views, fold_document, fold_task, fresh_knowledge_base, gathered
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS, row_id_of
from projections.rows import DOCUMENT_PROJECTION, KNOWLEDGE_BASE_PROJECTION, TASK_PROJECTION
from projections.shared_reads import SharedReads
from projections.tasks import TaskRow
from projections.views import PAGE_ROWS_MAX, ViewStore

NAMES_ITS_DOCUMENTS: Final = frozenset({TaskSource.RETRY, TaskSource.REPROCESS})

DOCUMENTS_PAGE: Final = 50
"""Documents read at a time while a whole task is told: about 35 kB, held twice for a reader that does not read."""

FOLDED_NOTED_MAX: Final = 10_000
"""Tasks of which is noted how new an answer was that the view did not have: 2 MB. Views are at most seconds behind."""


class Queries:
    """Raises Refused for what does not exist, InvalidId, and what log and store raise."""

    def __init__(self, event_log: EventLog, views: ViewStore) -> None:
        self._log = event_log
        self._views = views
        self._checkpoints = SharedReads(views.checkpoint)
        self._folded: dict[TaskId, int] = {}

    @property
    def partitions(self) -> int:
        return self._views.partitions

    def partition_of(self, stream: str) -> int:
        """Raises InvalidId for a partition that this installation does not have."""
        partition = partition_of(stream)
        if partition >= self._views.partitions:
            raise InvalidId(f"the id names partition {partition}, there are {self._views.partitions}")
        return partition

    async def log_end(self, partition: int) -> int:
        """The dense number of the last event: nothing that was answered before is newer."""
        return (await self._log.head(partition)).number

    async def have_views_reached(self, partition: int, number: int) -> bool:
        """Whether the live views hold everything up to an event's dense number."""
        return (await self._checkpoints.of(partition)).number >= number

    async def task(self, task: TaskId, *, told: int = 0) -> TaskStatus:
        """`told` is a version that the caller was answered before. Where the view is older than that one, or than what
        was folded here for somebody before, the log is folded again: who asks twice is never told an older state."""
        row = await self._viewed_task(task)
        status = None if row is None else tasks.status_of(task, row)
        if status is not None and status.version >= max(told, self._folded.get(task, 0)):
            self._folded.pop(task, None)
            return status
        row = await fold_task(self._log, task)
        status = None if row is None else tasks.status_of(task, row)
        if status is None:
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        self._note_folded(task, status.version)
        return status

    def is_as_new_as_told(self, task: TaskId, version: int) -> bool:
        """Whether nobody here was answered a newer state of the task, which the views did not have."""
        return version >= self._folded.get(task, 0)

    async def task_row(self, task: TaskId) -> TaskRow | None:
        """The view, or the fold of the history where the view does not know of the submission yet."""
        return await self._viewed_task(task) or await fold_task(self._log, task)

    async def have_views_task(self, task: TaskId, version: int) -> bool:
        """Whether the views hold the task at a version, or newer: what they hold of its documents is as new then."""
        row = await self._viewed_task(task)
        return row is not None and row.version >= version

    async def document(self, document: DocumentId) -> DocumentStatus:
        found = await self.documents(self.partition_of(document), [document])
        if not found:
            raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id")
        return found[0]

    async def document_in(self, knowledge_base: KnowledgeBaseId, document: DocumentId) -> DocumentStatus:
        """A document of this very knowledge base."""
        status = await self.document(document)
        if status.knowledge_base_id != knowledge_base:
            raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id in the knowledge base")
        return status

    async def documents(self, partition: int, ids: Sequence[DocumentId]) -> list[DocumentStatus]:
        """Those of the documents that exist, in the order asked for."""
        payloads = dict(zip(ids, await self._views.rows(partition, DOCUMENTS, ids), strict=True))
        missing = [one for one, payload in payloads.items() if payload is None]
        folded = dict(zip(missing, await gathered(missing, self._fold_document), strict=True))
        return _seen(
            {
                one: folded[one] if payload is None else DOCUMENT_PROJECTION.decode(payload)
                for one, payload in payloads.items()
            }
        )

    async def documents_of_task(self, task: TaskId, *, told: int = 0) -> AsyncIterator[list[DocumentStatus]]:
        """All documents that the task works or worked on, a part at a time, in the order of their upload.

        `told` is a version of the task that was answered before: none of the documents is older than that one.
        """
        partition = self.partition_of(task)
        ids = await self.ids_of_task(task)
        read = self.documents if await self.have_views_task(task, told) else self._folded_documents
        for start in range(0, len(ids), DOCUMENTS_PAGE):
            yield await read(partition, ids[start : start + DOCUMENTS_PAGE])

    async def ids_of_task(self, task: TaskId) -> list[DocumentId]:
        """The documents that the task's submission names; of a reindexing those that the projector saw enter it."""
        row = await self.task_row(task)
        status = None if row is None else tasks.status_of(task, row)
        if status is None:
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        if status.source in NAMES_ITS_DOCUMENTS:
            return list(documents_of(task, await self._log.history(task)))
        reprocessed = [one async for one in self._listed(self.partition_of(task), task_documents_index(task))]
        return reprocessed or [document_id(task, ordinal) for ordinal in range(status.documents.total)]

    async def knowledge_base(self, knowledge_base: KnowledgeBaseId) -> KnowledgeBaseStatus:
        """As it was written last, with the counters of the view."""
        self.partition_of(knowledge_base)
        row = await fresh_knowledge_base(self._log, self._views, knowledge_base)
        status = None if row is None else knowledge_bases.status_of(knowledge_base, row)
        if status is None:
            raise Refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE, "there is no knowledge base with this id")
        return status

    async def known_knowledge_base(self, knowledge_base: KnowledgeBaseId) -> KnowledgeBaseStatus | None:
        """The same; None for one that is not there, or not any more."""
        try:
            return await self.knowledge_base(knowledge_base)
        except Refused:
            return None

    async def knowledge_base_counts(self, knowledge_base: KnowledgeBaseId) -> KnowledgeBaseCounts:
        """The counters of the view; all zero before the projector has read of the knowledge base."""
        payload = (await self._views.rows(self.partition_of(knowledge_base), KNOWLEDGE_BASES, [knowledge_base]))[0]
        return KnowledgeBaseCounts() if payload is None else KNOWLEDGE_BASE_PROJECTION.decode(payload).counts

    async def search_scope(self, knowledge_base: KnowledgeBaseId) -> tuple[ActiveKnowledgeBase, int]:
        """The knowledge base and the index generation that searches read."""
        self.partition_of(knowledge_base)
        row = await fresh_knowledge_base(self._log, self._views, knowledge_base)
        known = active(UnknownKnowledgeBase() if row is None else row.folded.state)
        return known, known.generation

    async def documents_of(self, knowledge_base: KnowledgeBaseId) -> AsyncIterator[DocumentId]:
        """Every document whose acceptance is in the log when this is asked, each once; removed ones may be left out."""
        partition = self.partition_of(knowledge_base)
        newest: dict[DocumentId, None] = {}
        async for envelope in behind_the_views(self._log, self._views, partition):
            match envelope.event:
                case DocumentAccepted() | DocumentRequested() | DocumentSkipped():
                    if envelope.event.knowledge_base_id == knowledge_base:
                        newest[DocumentId(envelope.stream_id)] = None
                case _:
                    continue
        async for document in self._listed(partition, documents_index(knowledge_base)):
            newest.pop(document, None)
            yield document
        for document in newest:
            yield document

    async def _listed(self, partition: int, index: str) -> AsyncIterator[DocumentId]:
        after: str | None = None
        while True:
            page = await self._views.page(
                partition, index, DOCUMENTS, after=after, limit=PAGE_ROWS_MAX, newest_first=False
            )
            for row in page.rows:
                yield DocumentId(row_id_of(row.member))
            if len(page.rows) < PAGE_ROWS_MAX:
                return
            after = page.rows[-1].member

    async def _viewed_task(self, task: TaskId) -> TaskRow | None:
        """None also for a task of which the view has read only documents."""
        payload = (await self._views.rows(self.partition_of(task), TASKS, [task]))[0]
        row = None if payload is None else TASK_PROJECTION.decode(payload)
        return None if row is None or tasks.status_of(task, row) is None else row

    def _note_folded(self, task: TaskId, version: int) -> None:
        """The newest version answered from the log, until the view has it. Of too many the oldest note goes."""
        self._folded[task] = max(version, self._folded.pop(task, 0))
        if len(self._folded) > FOLDED_NOTED_MAX:
            del self._folded[next(iter(self._folded))]

    async def _folded_documents(self, _: int, ids: Sequence[DocumentId]) -> list[DocumentStatus]:
        return _seen(dict(zip(ids, await gathered(ids, self._fold_document), strict=True)))

    async def _fold_document(self, document: DocumentId) -> DocumentRow | None:
        return await fold_document(self._log, document)


def _seen(rows: Mapping[DocumentId, DocumentRow | None]) -> list[DocumentStatus]:
    """Of the documents that exist, what a client sees."""
    statuses = (None if row is None else documents.status_of(one, row) for one, row in rows.items())
    return [status for status in statuses if status is not None]
