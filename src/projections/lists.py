"""Lists with cursors: tasks, knowledge bases, documents."""

import heapq
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Generic, TypeVar

import msgspec

from domain.dead_letters import DeadLetter, DeadLetterQuery
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus, TaskPhase, TaskStatus
from events.ids import DocumentId, KnowledgeBaseId, StreamKind, TaskId, kind_of
from events.log import EventLog
from projections import dead_letters, documents, knowledge_bases, tasks
from projections.cursors import Cursors
from projections.document_filter import DocumentFilter
from projections.document_list import read_page
from projections.knowledge_bases import KNOWLEDGE_BASES_INDEX, KnowledgeBaseRow, names_index
from projections.on_demand import behind_the_views, fresh_knowledge_base, gathered
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS, IndexEntry, Table, row_id_of
from projections.queries import Queries
from projections.rows import DOCUMENT_PROJECTION, KNOWLEDGE_BASE_PROJECTION, TASK_PROJECTION
from projections.views import IndexedRow, Page, ViewStore

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
EVERY_DOCUMENT: Final = DocumentFilter()

T = TypeVar("T")


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """One page; `next_cursor` is None behind the last. `total` is the length of the whole list, where it is known.

    A page of a list that had to be searched may be short, even empty, and yet have a cursor: the list goes on there.
    """

    data: tuple[T, ...]
    total: int | None
    next_cursor: str | None


class Lists:
    """Newest first, but a task's documents in the order of their upload. Raises InvalidCursor, and like Queries."""

    def __init__(self, event_log: EventLog, views: ViewStore, queries: Queries, cursors: Cursors) -> None:
        self._log = event_log
        self._views = views
        self._queries = queries
        self._cursors = cursors

    async def tasks(
        self,
        *,
        knowledge_base: KnowledgeBaseId | None = None,
        phase: TaskPhase | None = None,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[TaskStatus]:
        index = tasks.tasks_index(knowledge_base, phase)
        if knowledge_base is None:
            partitions = list(range(self._views.partitions))
        else:
            await self._queries.knowledge_base(knowledge_base)
            partitions = [self._queries.partition_of(knowledge_base)]
        page, next_cursor = await self._newest(partitions, index, TASKS, limit, cursor)
        found = (
            tasks.status_of(TaskId(row_id_of(row.member)), TASK_PROJECTION.decode(row.payload)) for row in page.rows
        )
        return Listing(tuple(status for status in found if status is not None), page.total, next_cursor)

    async def documents(
        self,
        knowledge_base: KnowledgeBaseId,
        *,
        wanted: DocumentFilter = EVERY_DOCUMENT,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[DocumentStatus]:
        await self._queries.knowledge_base(knowledge_base)
        partition, index = self._queries.partition_of(knowledge_base), wanted.index(knowledge_base)
        scope = wanted.scope(knowledge_base)
        after = None if cursor is None else self._cursors.open(scope, cursor)
        page = await read_page(self._views, partition, index, wanted, after=after, limit=limit)
        next_cursor = None if page.place is None else self._cursors.seal(scope, page.place)
        found = (
            documents.status_of(DocumentId(row_id_of(row.member)), DOCUMENT_PROJECTION.decode(row.payload))
            for row in page.rows
        )
        return Listing(tuple(status for status in found if status is not None), page.total, next_cursor)

    async def task_documents(
        self, task: TaskId, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None
    ) -> Listing[DocumentStatus]:
        ids = await self._queries.ids_of_task(task)
        scope = documents.task_documents_index(task)
        start = 0 if cursor is None else int(self._cursors.open(scope, cursor))
        end = start + limit
        found = await self._queries.documents(self._queries.partition_of(task), ids[start:end])
        next_cursor = self._cursors.seal(scope, str(end)) if end < len(ids) else None
        return Listing(tuple(found), len(ids), next_cursor)

    async def dead_letters(
        self, query: DeadLetterQuery, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None
    ) -> Listing[DeadLetter]:
        partitions = await dead_letters.partitions_of(self._queries, query)
        index, floor = documents.dead_letters_index(query), dead_letters.floor_of(query)
        page, next_cursor = await self._newest(partitions, index, DOCUMENTS, limit, cursor, floor=floor)
        found = map(dead_letters.shown, page.rows)
        return Listing(tuple(one for one in found if one is not None), page.total, next_cursor)

    async def knowledge_bases(
        self, *, name: str | None = None, limit: int = LIMIT_DEFAULT, cursor: str | None = None
    ) -> Listing[KnowledgeBaseStatus]:
        """With those that were created, renamed or deleted a moment ago, as they are now."""
        index = KNOWLEDGE_BASES_INDEX if name is None else names_index(name)
        after = None if cursor is None else self._cursors.open(index, cursor)
        parts = await gathered(
            range(self._views.partitions), lambda partition: self._fresh_part(partition, index, after, limit + 1)
        )
        page = _merged(parts, limit + 1)
        found = (
            knowledge_bases.status_of(
                KnowledgeBaseId(row_id_of(row.member)), KNOWLEDGE_BASE_PROJECTION.decode(row.payload)
            )
            for row in page.rows[:limit]
        )
        next_cursor = self._next(index, page.rows, limit)
        return Listing(tuple(status for status in found if status is not None), page.total, next_cursor)

    async def _newest(
        self,
        partitions: Sequence[int],
        index: str,
        table: Table,
        limit: int,
        cursor: str | None,
        *,
        floor: str | None = None,
    ) -> tuple[Page, str | None]:
        scope = index if floor is None else f"{index}>={floor}"
        after = None if cursor is None else self._cursors.open(scope, cursor)
        parts = await gathered(
            partitions,
            lambda partition: self._views.page(
                partition, index, table, after=after, limit=limit + 1, newest_first=True, floor=floor
            ),
        )
        page = _merged(parts, limit + 1)
        return Page(page.rows[:limit], page.total), self._next(scope, page.rows, limit)

    def _next(self, scope: str, rows: Sequence[IndexedRow], limit: int) -> str | None:
        return self._cursors.seal(scope, rows[limit - 1].member) if len(rows) > limit else None

    async def _fresh_part(self, partition: int, index: str, after: str | None, limit: int) -> Page:
        """A partition's part of the list of knowledge bases, with those that changed behind the views put right."""
        changed = {
            KnowledgeBaseId(envelope.stream_id)
            async for envelope in behind_the_views(self._log, self._views, partition)
            if kind_of(envelope.stream_id) is StreamKind.KNOWLEDGE_BASE
        }
        page = await self._views.page(
            partition, index, KNOWLEDGE_BASES, after=after, limit=limit + len(changed), newest_first=True
        )
        if not changed:
            return page
        before = await self._views.rows(partition, KNOWLEDGE_BASES, list(changed))
        listed = sum(
            _entry(index, one, KNOWLEDGE_BASE_PROJECTION.decode(payload)) is not None
            for one, payload in zip(changed, before, strict=True)
            if payload is not None
        )
        fresh = await gathered(list(changed), self._fresh)
        entries = [(_entry(index, one, row), row) for one, row in zip(changed, fresh, strict=True) if row is not None]
        added = [
            IndexedRow(entry.member, KNOWLEDGE_BASE_PROJECTION.encode(row))
            for entry, row in entries
            if entry is not None
        ]
        kept = [row for row in page.rows if row_id_of(row.member) not in changed]
        kept += (row for row in added if after is None or row.member < after)
        kept.sort(key=attrgetter("member"), reverse=True)
        return Page(tuple(kept[:limit]), page.total - listed + len(added))

    async def _fresh(self, knowledge_base: KnowledgeBaseId) -> KnowledgeBaseRow | None:
        return await fresh_knowledge_base(self._log, self._views, knowledge_base)


def _merged(parts: Sequence[Page], limit: int) -> Page:
    """The newest of several partitions' newest."""
    rows = heapq.merge(*(part.rows for part in parts), key=attrgetter("member"), reverse=True)
    return Page(tuple(rows)[:limit], sum(part.total for part in parts))


def _entry(index: str, knowledge_base: KnowledgeBaseId, row: KnowledgeBaseRow) -> IndexEntry | None:
    entries = KNOWLEDGE_BASE_PROJECTION.entries(knowledge_base, row)
    return next((entry for entry in entries if entry.index == index), None)
