"""One page of the log on its way into the views: pure, and the same whatever the size of the pages.

First the documents are folded, which yields their touches; then, once the rows that those name are known, tasks and
knowledge bases. Each row is written once a batch, however many events changed it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from domain.counts import task_of
from domain.document import DocumentState, Unknown
from domain.errors import ImpossibleEvent
from domain.task import UnknownTask
from events.document import ReprocessingRequested, StepStarted
from events.envelope import Envelope, UnknownEvent
from events.errors import VersionGap
from events.ids import DocumentId, StreamKind
from events.log import Unreadable
from projections.documents import NEW, DocumentRow, knowledge_base_of
from projections.feed import Change
from projections.knowledge_bases import KnowledgeBaseRow
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS, CountingProjection, RowKey, Touch
from projections.rows import DOCUMENT_PROJECTION, KNOWLEDGE_BASE_PROJECTION, TASK_PROJECTION, Row, entries_of
from projections.tasks import TaskRow
from projections.views import IndexChange

KIND_OF_INITIAL: Final = {kind.value[0]: kind for kind in StreamKind}
"""The codec has checked the ids of envelopes; checking them again would be a tenth of the fold."""

Rows = Mapping[RowKey, Row | None]
R = TypeVar("R", TaskRow, KnowledgeBaseRow)
S = TypeVar("S", DocumentRow, TaskRow, KnowledgeBaseRow)


class Folding(msgspec.Struct, frozen=True, kw_only=True):
    """What a page changes. `refused` counts events that could not follow what their stream held before."""

    rows: Mapping[RowKey, Row]
    indexes: tuple[IndexChange, ...]
    changes: tuple[Change, ...]
    unreadable: int
    unknown: int
    refused: int


class _Run:
    """Events of one document under one task that are not counted yet."""

    __slots__ = ("before", "events", "started_at_us", "updated_at_us")

    def __init__(self, before: DocumentState) -> None:
        self.before = before
        self.events = 0
        self.started_at_us: int | None = None
        self.updated_at_us = 0

    def extend(self, envelope: Envelope) -> None:
        at_us = envelope.recorded_at_us
        self.events += 1
        self.updated_at_us = max(self.updated_at_us, at_us)
        if isinstance(envelope.event, StepStarted):
            self.started_at_us = at_us if self.started_at_us is None else min(self.started_at_us, at_us)

    def touch(self, document_id: str, after: DocumentState) -> Touch:
        return Touch(
            document_id=DocumentId(document_id),
            before=self.before,
            after=after,
            events=self.events,
            started_at_us=self.started_at_us,
            updated_at_us=self.updated_at_us,
        )


class Batch:
    """In this order: `first_keys`, `fold_documents`, `second_keys`, `fold_counts`. A row that is not there is None."""

    def __init__(self, page: Sequence[Envelope | Unreadable]) -> None:
        self._own: dict[StreamKind, list[Envelope]] = {kind: [] for kind in StreamKind}
        self._unreadable = self._unknown = self._refused = 0
        self._before: dict[RowKey, Row | None] = {}
        self._after: dict[RowKey, Row] = {}
        self._touches: list[Touch] = []
        for entry in page:
            if isinstance(entry, Unreadable):
                self._unreadable += 1
                continue
            self._unknown += isinstance(entry.event, UnknownEvent)
            self._own[KIND_OF_INITIAL[entry.stream_id[0]]].append(entry)

    def first_keys(self) -> set[RowKey]:
        """The documents of the page."""
        return {RowKey(DOCUMENTS, envelope.stream_id) for envelope in self._own[StreamKind.DOCUMENT]}

    def fold_documents(self, rows: Rows) -> None:
        self._before.update(rows)
        current = {key.id: row for key, row in rows.items() if isinstance(row, DocumentRow)}
        runs: dict[str, _Run] = {}
        for envelope in self._own[StreamKind.DOCUMENT]:
            document_id = envelope.stream_id
            row = current.get(document_id)
            after = self._followed(DOCUMENT_PROJECTION.follow, row, envelope)
            if after is None or after is row:
                continue
            current[document_id] = after
            if not isinstance(envelope.event, UnknownEvent):
                self._extend(runs, (row or NEW).folded.state, envelope)
        for document_id, run in runs.items():
            self._touches.append(run.touch(document_id, current[document_id].folded.state))
        self._keep({RowKey(DOCUMENTS, document_id): row for document_id, row in current.items()})

    def second_keys(self) -> set[RowKey]:
        """The tasks and knowledge bases of the page, and those that count its documents."""
        keys = {RowKey(TASKS, envelope.stream_id) for envelope in self._own[StreamKind.TASK]}
        keys.update(RowKey(KNOWLEDGE_BASES, envelope.stream_id) for envelope in self._own[StreamKind.KNOWLEDGE_BASE])
        for touch in self._touches:
            keys.update((_task_key(touch), _knowledge_base_key(touch)))
        return keys

    def fold_counts(self, rows: Rows) -> Folding:
        self._before.update(rows)
        tasks = {key: row for key, row in rows.items() if isinstance(row, TaskRow)}
        self._fold_counting(TASK_PROJECTION, tasks, _task_key)
        bases = {key: row for key, row in rows.items() if isinstance(row, KnowledgeBaseRow)}
        self._fold_counting(KNOWLEDGE_BASE_PROJECTION, bases, _knowledge_base_key)
        return Folding(
            rows=self._after,
            indexes=self._index_changes(),
            changes=tuple(_change(key, row) for key, row in self._after.items()),
            unreadable=self._unreadable,
            unknown=self._unknown,
            refused=self._refused,
        )

    def _extend(self, runs: dict[str, _Run], before: DocumentState, envelope: Envelope) -> None:
        """A document that is handed to another task has its run under the former one closed first."""
        run = runs.get(envelope.stream_id)
        if run is not None and isinstance(envelope.event, ReprocessingRequested):
            self._touches.append(run.touch(envelope.stream_id, before))
            run = None
        if run is None:
            run = runs[envelope.stream_id] = _Run(before)
        run.extend(envelope)

    def _fold_counting(
        self, projection: CountingProjection[R], current: dict[RowKey, R], key_of: Callable[[Touch], RowKey]
    ) -> None:
        for envelope in self._own[projection.table.kind]:
            key = RowKey(projection.table, envelope.stream_id)
            after = self._followed(projection.follow, current.get(key), envelope)
            if after is not None:
                current[key] = after
        for touch in self._touches:
            key = key_of(touch)
            current[key] = projection.count(current.get(key), touch)
        self._keep(current)

    def _followed(self, follow: Callable[[S | None, Envelope], S], row: S | None, envelope: Envelope) -> S | None:
        """The row as it was where the event is in it already, or could not follow: the latter is counted."""
        try:
            return follow(row, envelope)
        except (VersionGap, ImpossibleEvent):
            self._refused += 1
            return row

    def _keep(self, current: Mapping[RowKey, Row]) -> None:
        self._after.update((key, row) for key, row in current.items() if row is not self._before.get(key))

    def _index_changes(self) -> tuple[IndexChange, ...]:
        changes: dict[str, tuple[list[str], list[str]]] = {}
        for key, row in self._after.items():
            before, after = entries_of(key, self._before.get(key)), entries_of(key, row)
            for place, entries in enumerate((before - after, after - before)):
                for entry in entries:
                    changes.setdefault(entry.index, ([], []))[place].append(entry.member)
        return tuple(IndexChange(index, tuple(removed), tuple(added)) for index, (removed, added) in changes.items())


def _task_key(touch: Touch) -> RowKey:
    task = task_of(touch.after)
    if task is None:
        raise ValueError("a document that does not exist touches no task")
    return RowKey(TASKS, task)


def _knowledge_base_key(touch: Touch) -> RowKey:
    return RowKey(KNOWLEDGE_BASES, knowledge_base_of(touch.after))


def _change(key: RowKey, row: Row) -> Change:
    match row:
        case DocumentRow():
            state = row.folded.state
            knowledge_base = None if isinstance(state, Unknown) else knowledge_base_of(state)
            return Change(key.id, knowledge_base, task_of(state), row.version)
        case TaskRow():
            task = row.folded.state
            knowledge_base = None if isinstance(task, UnknownTask) else task.submitted.knowledge_base_id
            return Change(key.id, knowledge_base, key.id, row.version)
        case KnowledgeBaseRow():
            return Change(key.id, key.id, None, row.version)
