"""A task's states; decide and evolve.

Whether an open task is still queued or already processed is seen from its documents (`counts.py`), not from its own
stream: a task of 10,000 files would otherwise be written to 10,000 times.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

import msgspec

from domain import commands as c
from domain.errors import ImpossibleEvent, RefusalCode, Refused
from events import task as facts
from events.envelope import Envelope, Event
from events.ids import DocumentId, KnowledgeBaseId, TaskId, document_id
from events.log import Tally
from events.steps import Lane
from events.task import DOCUMENTS_NAMED_MAX, TaskEvent, TaskSource


class TaskOutcome(StrEnum):
    """How a task ended."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when the task came in."""

    knowledge_base_id: KnowledgeBaseId
    documents: int
    submitted_at_us: int
    lane: Lane = Lane.INTERACTIVE
    source: TaskSource = TaskSource.UPLOAD
    callback_url: str | None = None
    not_before_us: int | None = None
    idempotency_key_sha256: str | None = None
    request_sha256: str | None = None


class CallbackState(msgspec.Struct, frozen=True, kw_only=True):
    """How the callback went so far: attempts that are recorded, and whether another one follows."""

    attempts: int = 0
    is_delivered: bool = False
    is_over: bool = False


class UnknownTask(msgspec.Struct, frozen=True, tag=True):
    """No such task."""


class OpenTask(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Documents are waiting or being worked on."""

    submitted: Submitted
    cancelled_at_us: int | None = None


class FinishedTask(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Every document has ended."""

    submitted: Submitted
    outcome: TaskOutcome
    finished_at_us: int
    cancelled_at_us: int | None = None
    callback: CallbackState = CallbackState()


TaskState = UnknownTask | OpenTask | FinishedTask


def existing(state: TaskState) -> OpenTask | FinishedTask:
    """The task, if it was ever submitted; raises Refused."""
    if isinstance(state, UnknownTask):
        raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
    return state


def documents_of(task_id: TaskId, history: Sequence[Envelope]) -> tuple[DocumentId, ...]:
    """The documents of the task with this history, in the order of its request; none before its submission.

    They are no part of the state: a thousand ids would be written with every row that shows the task.
    """
    submitted = next((one.event for one in history if isinstance(one.event, facts.TaskSubmitted)), None)
    if submitted is None:
        return ()
    return submitted.document_ids or tuple(document_id(task_id, ordinal) for ordinal in range(submitted.documents))


def outcome_of(tally: Tally) -> TaskOutcome:
    """Completed: nothing failed or was given up. Partial: something came of it. A duplicate counts as a success."""
    good = tally.succeeded + tally.skipped
    if tally.failed == tally.cancelled == 0:
        return TaskOutcome.COMPLETED
    if good > 0:
        return TaskOutcome.PARTIAL
    return TaskOutcome.FAILED if tally.failed > 0 else TaskOutcome.CANCELLED


def decide(command: c.TaskCommand, state: TaskState) -> tuple[TaskEvent, ...]:
    """No event where the command was carried out before; raises Refused."""
    match command:
        case c.SubmitTask():
            return _submit(command, state)
        case c.CancelTask():
            return _cancel(command, state)
        case c.FinishTask():
            return _finish(command, state)
        case c.RecordCallbackDelivered() | c.RecordCallbackFailed():
            return _record_callback(command, state)
        case _:
            assert_never(command)


def evolve(state: TaskState, event: Event, at_us: int) -> TaskState:
    """Raises ImpossibleEvent for an event that cannot follow."""
    match state, event:
        case UnknownTask(), facts.TaskSubmitted():
            return OpenTask(
                submitted=Submitted(
                    knowledge_base_id=event.knowledge_base_id,
                    documents=event.documents,
                    submitted_at_us=at_us,
                    lane=event.lane,
                    source=event.source,
                    callback_url=event.callback_url,
                    not_before_us=event.not_before_us,
                    idempotency_key_sha256=event.idempotency_key_sha256,
                    request_sha256=event.request_sha256,
                )
            )
        case OpenTask(), facts.TaskCancelled():
            return OpenTask(submitted=state.submitted, cancelled_at_us=at_us)
        case OpenTask(), facts.TaskFinished():
            tally = Tally(0, event.succeeded, event.failed, event.cancelled, event.skipped)
            return FinishedTask(
                submitted=state.submitted,
                outcome=outcome_of(tally),
                finished_at_us=at_us,
                cancelled_at_us=state.cancelled_at_us,
            )
        case FinishedTask(), facts.CallbackDelivered():
            callback = CallbackState(attempts=event.attempt, is_delivered=True, is_over=True)
            return msgspec.structs.replace(state, callback=callback)
        case FinishedTask(), facts.CallbackFailed():
            callback = CallbackState(attempts=event.attempt, is_over=event.next_attempt_at_us is None)
            return msgspec.structs.replace(state, callback=callback)
        case _:
            raise ImpossibleEvent(f"{type(event).__name__} cannot follow {type(state).__name__}")


def _submit(command: c.SubmitTask, state: TaskState) -> tuple[TaskEvent, ...]:
    if isinstance(state, UnknownTask):
        if command.documents < 1:
            raise Refused(RefusalCode.VALIDATION_FAILED, "a task needs at least one document")
        if command.document_ids and not len(command.document_ids) == command.documents <= DOCUMENTS_NAMED_MAX:
            raise Refused(RefusalCode.VALIDATION_FAILED, f"a task names at most {DOCUMENTS_NAMED_MAX:,} documents")
        return (
            facts.TaskSubmitted(
                knowledge_base_id=command.knowledge_base_id,
                documents=command.documents,
                lane=command.lane,
                source=command.source,
                callback_url=command.callback_url,
                not_before_us=command.not_before_us,
                idempotency_key_sha256=command.idempotency_key_sha256,
                request_sha256=command.request_sha256,
                document_ids=command.document_ids,
            ),
        )
    if state.submitted.request_sha256 != command.request_sha256:
        raise Refused(
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
            "this Idempotency-Key came with another request before; use a new key for a new request",
        )
    return ()


def _cancel(command: c.CancelTask, state: TaskState) -> tuple[TaskEvent, ...]:
    match state:
        case UnknownTask():
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        case OpenTask(cancelled_at_us=None):
            return (facts.TaskCancelled(reason=command.reason),)
        case OpenTask():
            return ()
        case FinishedTask(cancelled_at_us=None):
            raise Refused(RefusalCode.TASK_FINISHED, "the task has finished; there is nothing to cancel")
        case FinishedTask():
            return ()
        case _:
            assert_never(state)


def _finish(command: c.FinishTask, state: TaskState) -> tuple[TaskEvent, ...]:
    tally = command.tally
    ended = tally.succeeded + tally.failed + tally.cancelled + tally.skipped
    match state:
        case UnknownTask():
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        case OpenTask() if tally.open_documents == 0 and ended == state.submitted.documents:
            return (
                facts.TaskFinished(
                    succeeded=tally.succeeded,
                    failed=tally.failed,
                    cancelled=tally.cancelled,
                    skipped=tally.skipped,
                ),
            )
        case OpenTask() | FinishedTask():
            return ()
        case _:
            assert_never(state)


def _record_callback(
    command: c.RecordCallbackDelivered | c.RecordCallbackFailed, state: TaskState
) -> tuple[TaskEvent, ...]:
    """A sender that died behind its call says it again: a failure that is known by then changes nothing, and nothing
    follows once the news arrived. An attempt that failed and was made again, unknown of that, may have arrived."""
    match state:
        case UnknownTask():
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        case OpenTask():
            return ()
        case FinishedTask(callback=callback):
            if callback.is_delivered:
                return ()
        case _:
            assert_never(state)
    match command:
        case c.RecordCallbackDelivered():
            return (facts.CallbackDelivered(attempt=command.attempt, status_code=command.status_code),)
        case c.RecordCallbackFailed() if callback.is_over or command.attempt <= callback.attempts:
            return ()
        case c.RecordCallbackFailed():
            return (
                facts.CallbackFailed(
                    attempt=command.attempt,
                    status_code=command.status_code,
                    next_attempt_at_us=command.next_attempt_at_us,
                ),
            )
        case _:
            assert_never(command)
