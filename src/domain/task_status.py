"""What a client sees of a task."""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

import msgspec

from domain.counts import PROGRESS_WHOLE, Counts
from domain.instant import utc
from domain.task import FinishedTask, OpenTask
from domain.usage import NO_USAGE, Usage
from events.ids import KnowledgeBaseId, TaskId
from events.steps import Lane
from events.task import TaskSource


class TaskPhase(StrEnum):
    """A task's status in one word."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a task's documents count as what; the parts add up to `total`."""

    total: int
    queued: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    skipped: int


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One task. `version` rises with every change and is its ETag. `usage` is what its documents' vectors cost.

    `filename` is that of its first document, null where it is not known.
    """

    task_id: TaskId
    knowledge_base_id: KnowledgeBaseId
    status: TaskPhase
    progress: float
    documents: TaskDocuments
    source: TaskSource
    lane: Lane
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    updated_at: datetime
    version: int
    links: dict[str, str]
    usage: Usage = NO_USAGE
    filename: str | None = None


def task_status(
    task_id: TaskId,
    state: OpenTask | FinishedTask,
    counts: Counts,
    *,
    version: int,
    started_at_us: int | None,
    updated_at_us: int,
    usage: Usage = NO_USAGE,
    filename: str | None = None,
) -> TaskStatus:
    """`counts` are those of the task's documents, `started_at_us` is when the first step of any of them began."""
    submitted = state.submitted
    path = f"/api/v1/tasks/{task_id}"
    return TaskStatus(
        task_id=task_id,
        knowledge_base_id=submitted.knowledge_base_id,
        status=task_phase(state, counts),
        progress=counts.progress / (PROGRESS_WHOLE * submitted.documents),
        documents=TaskDocuments(
            total=submitted.documents,
            queued=counts.queued,
            processing=counts.processing,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
            skipped=counts.skipped,
        ),
        source=submitted.source,
        lane=submitted.lane,
        submitted_at=utc(submitted.submitted_at_us),
        started_at=None if started_at_us is None else utc(started_at_us),
        finished_at=utc(state.finished_at_us) if isinstance(state, FinishedTask) else None,
        cancelled_at=None if state.cancelled_at_us is None else utc(state.cancelled_at_us),
        updated_at=utc(updated_at_us),
        version=version,
        links={"self": path, "documents": f"{path}/documents", "stream": f"{path}/stream"},
        usage=usage,
        filename=filename,
    )


def task_phase(state: OpenTask | FinishedTask, counts: Counts) -> TaskPhase:
    """An open task is queued until the first of its documents is begun or ended."""
    match state:
        case FinishedTask():
            return TaskPhase(state.outcome.value)
        case OpenTask():
            return TaskPhase.QUEUED if counts.documents == counts.queued else TaskPhase.PROCESSING
        case _:
            assert_never(state)
