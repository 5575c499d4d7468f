"""Task rows: the task's own state, and the counts of its documents by difference.

A task with 10,000 files costs the same per event as a task with one. Lists: all tasks of the partition and those of a
knowledge base, all and by status, by the time of their submission; those that finished, by the time when they did.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from domain.counts import Counts, differences, task_of
from domain.decider import Folded, apply
from domain.deciders import TASK
from domain.first_document import FirstDocument, first_of
from domain.status import TaskPhase, TaskStatus, task_phase, task_status
from domain.task import FinishedTask, OpenTask, TaskState, UnknownTask
from domain.usage import Usage, spent
from events.envelope import Envelope, UnknownEvent
from events.ids import KnowledgeBaseId, TaskId
from projections.projection import TASKS, IndexEntry, Table, Touch, member
from projections.row_packing import pack, unpack

FINISHED_INDEX = "finished"
"""What retention reads, the oldest first."""


class TaskRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One task. `document_events` counts the facts of its documents while they were its own.

    `started_at_us` is the first start of any step, `updated_at_us` the latest event's time. `first` is None where none
    of its documents were read yet, and in rows that were written before names were kept.
    """

    folded: Folded[TaskState]
    counts: Counts = Counts()
    document_events: int = 0
    started_at_us: int | None = None
    updated_at_us: int = 0
    usage: Usage = Usage()
    first: FirstDocument | None = None

    @property
    def version(self) -> int:
        """Rises with every fact of the task and of its documents, and is the same in whatever order they came."""
        return self.folded.version + self.document_events


NEW = TaskRow(Folded(TASK.initial))

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TaskRow)


class TaskProjection:
    """CountingProjection[TaskRow]."""

    @property
    def table(self) -> Table:
        return TASKS

    def decode(self, payload: bytes) -> TaskRow:
        return _decoder.decode(unpack(payload))

    def encode(self, row: TaskRow) -> bytes:
        payload = _encoder.encode(row)
        return pack(payload) if is_at_rest(row) else payload

    def follow(self, row: TaskRow | None, envelope: Envelope) -> TaskRow:
        known = row or NEW
        folded = apply(TASK.evolve, known.folded, envelope)
        if folded is known.folded:
            return known
        if isinstance(envelope.event, UnknownEvent):
            return replace(known, folded=folded)
        return replace(known, folded=folded, updated_at_us=max(known.updated_at_us, envelope.recorded_at_us))

    def count(self, row: TaskRow | None, touches: Sequence[Touch]) -> TaskRow:
        known = row or NEW
        counts, events, usage, first = known.counts, known.document_events, known.usage, known.first
        started_at_us, updated_at_us = known.started_at_us, known.updated_at_us
        for touch in touches:
            before, after = touch.before, touch.after
            task = task_of(after)
            if task is not None:
                change = differences(before, after).get(task)
                counts = counts if change is None else counts + change
                first = first_of(task, first, touch.document_id, after)
            events += touch.events
            usage += spent(before, after)
            started_at_us = _earlier(started_at_us, touch.started_at_us)
            updated_at_us = max(updated_at_us, touch.updated_at_us)
        return TaskRow(known.folded, counts, events, started_at_us, updated_at_us, usage, first)

    def entries(self, row_id: str, row: TaskRow) -> tuple[IndexEntry, ...]:
        state = row.folded.state
        if isinstance(state, UnknownTask):
            return ()
        submitted = state.submitted
        place = member(submitted.submitted_at_us, row_id)
        phase = task_phase(state, counts_seen(state, row.counts))
        entries = [
            IndexEntry(tasks_index(knowledge_base, one), place)
            for knowledge_base in (None, submitted.knowledge_base_id)
            for one in (None, phase)
        ]
        if isinstance(state, FinishedTask):
            entries.append(IndexEntry(FINISHED_INDEX, member(state.finished_at_us, row_id)))
        return tuple(entries)


def is_at_rest(row: TaskRow) -> bool:
    return isinstance(row.folded.state, FinishedTask)


def status_of(task_id: TaskId, row: TaskRow) -> TaskStatus | None:
    """What a client sees; None for a task that does not exist, or of which so far only documents were read."""
    state = row.folded.state
    if isinstance(state, UnknownTask):
        return None
    return task_status(
        task_id,
        state,
        counts_seen(state, row.counts),
        version=row.version,
        started_at_us=row.started_at_us,
        updated_at_us=row.updated_at_us,
        usage=row.usage,
        filename=None if row.first is None else row.first.filename,
    )


def is_retired(row: TaskRow, before_us: int) -> bool:
    """Whether views that hold no task that finished before a time may not hold this one."""
    state = row.folded.state
    return isinstance(state, FinishedTask) and state.finished_at_us < before_us


def counts_seen(state: OpenTask | FinishedTask, counts: Counts) -> Counts:
    """The counts with every document of an open task in them: one whose acceptance was not read yet is queued.

    A submission is one append, but a page of the log may end in its middle.
    """
    missing = state.submitted.documents - counts.documents
    if missing <= 0 or isinstance(state, FinishedTask):
        return counts
    return replace(counts, queued=counts.queued + missing)


def tasks_index(knowledge_base: KnowledgeBaseId | None = None, phase: TaskPhase | None = None) -> str:
    """The tasks of a partition or of a knowledge base, all or those of one status."""
    return "/".join(part for part in (knowledge_base, "tasks", phase and phase.value) if part)


def _earlier(one_us: int | None, other_us: int | None) -> int | None:
    if one_us is None or other_us is None:
        return other_us if one_us is None else one_us
    return min(one_us, other_us)
