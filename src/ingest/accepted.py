"""The answer to whatever made or changed a task: its id, what it is doing, and its documents."""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Final

import msgspec

from domain.amounts import counted
from domain.counts import Counts, counts_of, task_of
from domain.document import Cancelled, DocumentState, Failed, Reached, Skipped, filename_of, record_of
from domain.status import DocumentPhase, TaskPhase, document_phase, task_phase
from domain.task import FinishedTask, OpenTask
from events.ids import DocumentId, TaskId

REPEATED: Final = "This request was accepted before; here is its task."


class DocumentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a task, in the order of the request.

    `duplicate_of` is in the knowledge base with the same bytes, `replaces` is removed once this one is searchable.
    """

    document_id: DocumentId
    filename: str
    status: DocumentPhase
    duplicate_of: DocumentId | None
    replaces: DocumentId | None


class AcceptedTask(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is the task's at the time of the answer; `links` say where to follow it."""

    task_id: TaskId
    status: TaskPhase
    message: str
    documents: tuple[DocumentLine, ...]
    links: dict[str, str]


def accepted_task(
    task_id: TaskId, task: OpenTask | FinishedTask, documents: Mapping[DocumentId, DocumentState], message: str
) -> AcceptedTask:
    """`documents` are the task's, in the order of its request."""
    path = task_path(task_id)
    return AcceptedTask(
        task_id=task_id,
        status=task_phase(task, reduce(add, (_share(task_id, state) for state in documents.values()), Counts())),
        message=message,
        documents=tuple(_line(document, state) for document, state in documents.items()),
        links={"task": path, "documents": f"{path}/documents", "stream": f"{path}/stream"},
    )


def accepted_message(accepted: int, skipped: int = 0) -> str:
    """What is said of so many documents that came in, and so many that were there already."""
    begun = f"Accepted {counted(accepted, 'document')}; follow the task to see them processed."
    there = f"{counted(skipped, 'document')} skipped: the same bytes are in the knowledge base already."
    if not skipped:
        return begun
    return f"{begun} {there}" if accepted else there


def task_path(task_id: TaskId) -> str:
    """Where the task is read."""
    return f"/api/v1/tasks/{task_id}"


def _share(task_id: TaskId, state: DocumentState) -> Counts:
    """One document's share of the task's counts; one that works for another task by now has failed in this one."""
    return counts_of(state) if task_of(state) == task_id else Counts(failed=1)


def _line(document: DocumentId, state: DocumentState) -> DocumentLine:
    return DocumentLine(
        document_id=document,
        filename=filename_of(state),
        status=document_phase(state),
        duplicate_of=state.duplicate_of if isinstance(state, Skipped) else None,
        replaces=record_of(state).about.replaces if isinstance(state, Reached | Failed | Cancelled) else None,
    )
