"""Documents that have ended are begun again, under another task."""

from typing import assert_never

from msgspec import UNSET

from domain import commands as c
from domain.document import (
    STEPS_IN_ORDER,
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Parsed,
    Queued,
    Reached,
    Removed,
    Requested,
    Skipped,
    Unknown,
    record_of,
    stopped_at,
)
from domain.document_rewind import reached_before
from domain.errors import RefusalCode, Refused
from events import document as facts
from events.ids import TaskId
from events.steps import Step


def reprocess(command: c.RequestReprocessing, state: DocumentState) -> tuple[facts.ReprocessingRequested, ...]:
    """Raises Refused for a document that is being worked on, or is no more."""
    match state:
        case Unknown():
            raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id")
        case Removed() | Erased():
            raise Refused(RefusalCode.DOCUMENT_REMOVED, "the document was deleted; upload it again")
        case Skipped():
            raise Refused(RefusalCode.DOCUMENT_ENDED, f"a duplicate; reprocess {state.duplicate_of} instead")
        case _ if _has_worked_on(command.task_id, state):
            return ()
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded():
            raise Refused(RefusalCode.DOCUMENT_IN_PROGRESS, "the document is being worked on; wait, or cancel it first")
        case Indexed():
            return _begun_again(command, state, command.from_step or Step.PARSE)
        case Failed() | Cancelled():
            return _begun_again(command, state.reached, command.from_step or stopped_at(state))
        case _:
            assert_never(state)


def _begun_again(
    command: c.RequestReprocessing, reached: Reached, from_step: Step
) -> tuple[facts.ReprocessingRequested, ...]:
    if command.chunking is not UNSET and from_step in STEPS_IN_ORDER:
        from_step = min(from_step, Step.CHUNK, key=STEPS_IN_ORDER.index)
    if from_step is Step.FETCH and not isinstance(reached, Requested):
        raise Refused(RefusalCode.STEP_NOT_REACHED, "the document's bytes are here; begin at parse, or later")
    if reached_before(reached, from_step, Queued(0)) is None:
        raise Refused(
            RefusalCode.STEP_NOT_REACHED, f"the document never came as far as {from_step}; begin at an earlier step"
        )
    return (
        facts.ReprocessingRequested(
            from_step=from_step, reason=command.reason, task_id=command.task_id, chunking=command.chunking
        ),
    )


def _has_worked_on(task: TaskId, state: Reached | Failed | Cancelled) -> bool:
    """A task works on a document once: its request said again, after the end, must not begin it all over."""
    record = record_of(state)
    return task == record.about.task_id or task in record.earlier_tasks
