"""Lists with cursors: tasks, knowledge bases, documents."""

import heapq
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Generic, TypeVar

import msgspec

from domain.access import Bound
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


class ListPart(msgspec.Struct, frozen=True):
    """A part of a list: an index of one partition."""

    partition: int
    index: str


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
        bound: Bound = None,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[TaskStatus]:
        if knowledge_base is not None:
            await self._queries.knowledge_base(knowledge_base)
            bound = frozenset({knowledge_base})
        if bound is None:
            index = tasks.tasks_index(None, phase)
            places = [ListPart(partition, index) for partition in range(self._views.partitions)]
        else:
            places = [ListPart(self._queries.partition_of(one), tasks.tasks_index(one, phase)) for one in sorted(bound)]
        page, next_cursor = await self._newest(places, TASKS, limit, cursor)
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
        self, query: DeadLetterQuery, *, bound: Bound = None, limit: int = LIMIT_DEFAULT, cursor: str | None = None
    ) -> Listing[DeadLetter]:
        asked = await dead_letters.places_of(self._queries, query, bound)
        places = [ListPart(partition, documents.dead_letters_index(one)) for partition, one in asked]
        floor = dead_letters.floor_of(query)
        page, next_cursor = await self._newest(places, DOCUMENTS, limit, cursor, floor=floor)
        found = map(dead_letters.shown, page.rows)
        return Listing(tuple(one for one in found if one is not None), page.total, next_cursor)

    async def knowledge_bases(
        self,
        *,
        name: str | None = None,
        bound: Bound = None,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[KnowledgeBaseStatus]:
        """With those that were created, renamed or deleted a moment ago, as they are now."""
        if bound is not None:
            return await self._own_knowledge_bases(bound, name, limit, cursor)
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

    async def _own_knowledge_bases(
        self, bound: frozenset[KnowledgeBaseId], name: str | None, limit: int, cursor: str | None
    ) -> Listing[KnowledgeBaseStatus]:
        """Those that a key is bound to: so few that they are read whole."""
        scope = f"{KNOWLEDGE_BASES_INDEX if name is None else names_index(name)}|{','.join(sorted(bound))}"
        start = 0 if cursor is None else int(self._cursors.open(scope, cursor))
        found = [one for one in await gathered(sorted(bound), self._queries.known_knowledge_base) if one is not None]
        named = [one for one in found if name in {None, one.name}]
        named.sort(key=lambda one: (one.created_at, one.knowledge_base_id), reverse=True)
        end = start + limit
        next_cursor = self._cursors.seal(scope, str(end)) if end < len(named) else None
        return Listing(tuple(named[start:end]), len(named), next_cursor)

    async def _newest(
        self,
        places: Sequence[ListPart],
        table: Table,
        limit: int,
        cursor: str | None,
        *,
        floor: str | None = None,
    ) -> tuple[Page, str | None]:
        indexes = ",".join(sorted({place.index for place in places}))
        scope = indexes if floor is None else f"{indexes}>={floor}"
        after = None if cursor is None else self._cursors.open(scope, cursor)
        parts = await gathered(
            places,
            lambda place: self._views.page(
                place.partition, place.index, table, after=after, limit=limit + 1, newest_first=True, floor=floor
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
