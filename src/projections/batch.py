"""One page of the log on its way into the views: pure, and the same whatever the size of the pages.

First the documents are folded, which yields their touches; then, once the rows that those name are known, tasks and
knowledge bases. Each row is written once a batch, however many events changed it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

import msgspec

from domain.counts import task_of
from domain.decider import Run, run
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Unknown
from domain.errors import ImpossibleEvent
from domain.task import UnknownTask
from events.document import ReprocessingRequested, StepStarted
from events.envelope import Envelope, UnknownEvent
from events.errors import VersionGap
from events.ids import KIND_OF_INITIAL, DocumentId, StreamKind
from events.log import Unreadable
from projections.documents import NEW, DocumentRow, knowledge_base_of
from projections.feed import Change
from projections.index_changes import index_changes
from projections.knowledge_bases import KnowledgeBaseRow
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS, CountingProjection, RowKey, Touch
from projections.rows import KNOWLEDGE_BASE_PROJECTION, TASK_PROJECTION, Row
from projections.tasks import TaskRow, is_retired
from projections.throughput import TOTAL, Tallies, ThroughputRow, in_total, merged, minute_of, row_key
from projections.views import IndexChange

Rows = Mapping[RowKey, Row | None]
R = TypeVar("R", TaskRow, KnowledgeBaseRow)
S = TypeVar("S", DocumentRow, TaskRow, KnowledgeBaseRow)

_NEVER_US: Final = 2**64
"""Behind every time that an event can have."""


class Folding(msgspec.Struct, frozen=True, kw_only=True):
    """What a page changes. `refused` counts events that could not follow what their stream held before.

    `removed` are rows of tasks that had finished before the views' `retired_before_us`. `documents` is how each
    document of the page went, event by event, `before` every row that the page asked for.
    """

    documents: Mapping[str, Run[DocumentState]]
    before: Rows
    rows: Mapping[RowKey, Row]
    removed: tuple[RowKey, ...]
    unreadable: int
    unknown: int
    refused: int

    @property
    def after(self) -> Rows:
        """Every row that is another one now, None for what was removed."""
        return {**self.rows, **dict.fromkeys(self.removed)}

    @property
    def indexes(self) -> tuple[IndexChange, ...]:
        """What enters and leaves the lists; worked out when it is asked for."""
        return index_changes(self.before, self.after)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is announced; worked out when it is asked for."""
        return tuple(_change(key, row) for key, row in self.rows.items() if not isinstance(row, ThroughputRow))


class Batch:
    """In this order: `first_keys`, `fold_documents`, `second_keys`, `fold_counts`. A row that is not there is None.

    With `retired_before_us` (0: nothing ever retired) tasks that finished before are kept out, and what is still told
    of them is passed over.
    """

    def __init__(self, page: Sequence[Envelope | Unreadable], *, retired_before_us: int = 0) -> None:
        self._retired_before_us = retired_before_us
        self._tallies = Tallies()
        self._own: dict[StreamKind, dict[str, list[Envelope]]] = {kind: {} for kind in StreamKind}
        self._unreadable = self._unknown = self._refused = 0
        self._before: dict[RowKey, Row | None] = {}
        self._after: dict[RowKey, Row] = {}
        self._touches: list[Touch] = []
        self._documents: dict[str, Run[DocumentState]] = {}
        streams = dict[str, list[Envelope]]()
        for entry in page:
            if type(entry) is not Envelope:
                self._unreadable += 1
                continue
            if type(entry.event) is UnknownEvent:
                self._unknown += 1
            events = streams.get(entry.stream_id)
            if events is None:
                events = streams[entry.stream_id] = []
                self._own[KIND_OF_INITIAL[entry.stream_id[0]]][entry.stream_id] = events
            events.append(entry)

    def first_keys(self) -> set[RowKey]:
        """The documents of the page."""
        return {RowKey(DOCUMENTS, document_id) for document_id in self._own[StreamKind.DOCUMENT]}

    def fold_documents(self, rows: Rows) -> None:
        self._before.update(rows)
        for document_id, envelopes in self._own[StreamKind.DOCUMENT].items():
            key = RowKey(DOCUMENTS, document_id)
            before = rows.get(key)
            row = before if isinstance(before, DocumentRow) else NEW
            after = self._fold_document(DocumentId(document_id), row, envelopes)
            if after is not row:
                self._after[key] = after

    def second_keys(self) -> set[RowKey]:
        """The tasks and knowledge bases of the page, those that count its documents, and its minutes."""
        keys = {RowKey(TASKS, task) for task in self._own[StreamKind.TASK]}
        keys.update(RowKey(KNOWLEDGE_BASES, knowledge_base) for knowledge_base in self._own[StreamKind.KNOWLEDGE_BASE])
        for touch in self._touches:
            keys.add(_task_key(touch))
            keys.add(_knowledge_base_key(touch))
        minutes = set(self._tallies.minutes())
        for kind in (StreamKind.TASK, StreamKind.KNOWLEDGE_BASE):
            for envelope in chain.from_iterable(self._own[kind].values()):
                minutes.add(minute_of(envelope.recorded_at_us))
        if minutes:
            keys.update(map(row_key, minutes))
            keys.add(TOTAL)
        return keys

    def fold_counts(self, rows: Rows) -> Folding:
        self._before.update(rows)
        tasks = {key: row for key, row in rows.items() if isinstance(row, TaskRow)}
        self._fold_counting(TASK_PROJECTION, StreamKind.TASK, tasks, _task_key)
        bases = {key: row for key, row in rows.items() if isinstance(row, KnowledgeBaseRow)}
        self._fold_counting(KNOWLEDGE_BASE_PROJECTION, StreamKind.KNOWLEDGE_BASE, bases, _knowledge_base_key)
        self._fold_minutes({key: row for key, row in rows.items() if isinstance(row, ThroughputRow)})
        retired = self._retire()
        return Folding(
            documents=self._documents,
            before=self._before,
            rows=self._after,
            removed=tuple(key for key in retired if self._before.get(key) is not None),
            unreadable=self._unreadable,
            unknown=self._unknown,
            refused=self._refused,
        )

    def _fold_document(self, document_id: DocumentId, row: DocumentRow, envelopes: Sequence[Envelope]) -> DocumentRow:
        went = run(DOCUMENT.evolve, row.folded, envelopes)
        self._refused += went.refused
        self._documents[document_id] = went
        if not went.envelopes:
            return row
        self._tallies.add_run(went)
        touches = touches_of(document_id, went)
        self._touches += touches
        return DocumentRow(went.end, max([row.updated_at_us, *(touch.updated_at_us for touch in touches)]))

    def _fold_counting(
        self,
        projection: CountingProjection[R],
        kind: StreamKind,
        current: dict[RowKey, R],
        key_of: Callable[[Touch], RowKey],
    ) -> None:
        for envelope in chain.from_iterable(self._own[kind].values()):
            key = RowKey(projection.table, envelope.stream_id)
            row = current.get(key)
            if row is None and envelope.version > 1 and self._may_be_retired(key):
                continue
            after = self._followed(projection.follow, row, envelope)
            if after is None or after is row:
                continue
            current[key] = after
            if not isinstance(envelope.event, UnknownEvent):
                self._tallies.add(envelope)
        touches = dict[RowKey, list[Touch]]()
        for touch in self._touches:
            touches.setdefault(key_of(touch), []).append(touch)
        for key, touched in touches.items():
            if key in current or not self._may_be_retired(key):
                current[key] = projection.count(current.get(key), touched)
        self._keep(current)

    def _may_be_retired(self, key: RowKey) -> bool:
        """Whether a row that is not there was: a submission stands before whatever else is told of its task."""
        return self._retired_before_us > 0 and key.table == TASKS

    def _fold_minutes(self, current: dict[RowKey, ThroughputRow]) -> None:
        for more in self._tallies.rows():
            key = row_key(more.minute)
            current[key] = merged(current.get(key), more)
            current[TOTAL] = merged(current.get(TOTAL), in_total(more))
        self._keep(current)

    def _retire(self) -> list[RowKey]:
        before_us = self._retired_before_us
        retired = [key for key, row in self._after.items() if isinstance(row, TaskRow) and is_retired(row, before_us)]
        for key in retired:
            del self._after[key]
        return retired

    def _followed(self, follow: Callable[[S | None, Envelope], S], row: S | None, envelope: Envelope) -> S | None:
        """The row as it was where the event is in it already, or could not follow: the latter is counted."""
        try:
            return follow(row, envelope)
        except (VersionGap, ImpossibleEvent):
            self._refused += 1
            return row

    def _keep(self, current: Mapping[RowKey, Row]) -> None:
        self._after.update((key, row) for key, row in current.items() if row is not self._before.get(key))


def touches_of(document_id: DocumentId, went: Run[DocumentState]) -> list[Touch]:
    """The events of a run in parts: a document that is handed to another task has its part under the former one closed
    first."""
    touches = list[Touch]()
    before, events, started_at_us, updated_at_us = went.states[0], 0, _NEVER_US, 0
    for place, envelope in enumerate(went.envelopes):
        fact = type(envelope.event)
        if fact is UnknownEvent:
            continue
        at_us = envelope.recorded_at_us
        if fact is ReprocessingRequested and events:
            touches.append(_touch(document_id, before, went.states[place], events, started_at_us, updated_at_us))
            before, events, started_at_us, updated_at_us = went.states[place], 0, _NEVER_US, 0
        events += 1
        if at_us > updated_at_us:
            updated_at_us = at_us
        if fact is StepStarted and at_us < started_at_us:
            started_at_us = at_us
    if events:
        touches.append(_touch(document_id, before, went.end.state, events, started_at_us, updated_at_us))
    return touches


def _touch(
    document_id: DocumentId,
    before: DocumentState,
    after: DocumentState,
    events: int,
    started_at_us: int,
    updated_at_us: int,
) -> Touch:
    return Touch(
        document_id, before, after, events, None if started_at_us == _NEVER_US else started_at_us, updated_at_us
    )


def _task_key(touch: Touch) -> RowKey:
    task = task_of(touch.after)
    if task is None:
        raise ValueError("a document that does not exist touches no task")
    return RowKey(TASKS, task)


def _knowledge_base_key(touch: Touch) -> RowKey:
    return RowKey(KNOWLEDGE_BASES, knowledge_base_of(touch.after))


def _change(key: RowKey, row: DocumentRow | TaskRow | KnowledgeBaseRow) -> Change:
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
