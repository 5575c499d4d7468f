"""What follows from each command about a task, in each of its states."""

import msgspec
import pytest
from msgspec.structs import replace

from domain import commands as c
from domain.deciders import TASK
from domain.errors import ImpossibleEvent, RefusalCode
from domain.task import CallbackState, FinishedTask, OpenTask, TaskOutcome, TaskState, documents_of, outcome_of
from events import task as t
from events.codec import encode
from events.envelope import Envelope, Event
from events.ids import EventId, document_id, uuid7_hex
from events.log import EVENT_BYTES_MAX, Tally
from events.steps import Lane
from events.task import DOCUMENTS_NAMED_MAX
from tests.specification import Given
from tests.specification import given as given_events
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS

SUBMIT = c.SubmitTask(
    knowledge_base_id=KNOWLEDGE_BASE,
    documents=2,
    lane=Lane.BULK,
    source=t.TaskSource.URL,
    callback_url="https://example.org/done",
    not_before_us=9,
    idempotency_key_sha256="c" * 64,
    request_sha256="a" * 64,
)
SUBMITTED = t.TaskSubmitted(
    knowledge_base_id=KNOWLEDGE_BASE,
    documents=2,
    lane=Lane.BULK,
    source=t.TaskSource.URL,
    callback_url="https://example.org/done",
    not_before_us=9,
    idempotency_key_sha256="c" * 64,
    request_sha256="a" * 64,
)
CANCELLED = t.TaskCancelled(reason="no longer wanted")
FINISHED = t.TaskFinished(succeeded=1, failed=1, cancelled=0, skipped=0)
WHOLE = Tally(open_documents=0, succeeded=1, failed=1)
CANCEL = c.CancelTask(reason="no longer wanted")
FINISH = c.FinishTask(tally=WHOLE)


def given(*events: Event) -> Given[TaskState, c.TaskCommand]:
    return given_events(TASK, *events)


def test_a_request_becomes_a_task() -> None:
    given().when(SUBMIT).then(SUBMITTED)


def test_a_task_without_documents_is_refused() -> None:
    nothing = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=0)
    given().when(nothing).then_refused(RefusalCode.VALIDATION_FAILED)


def test_a_task_that_works_on_documents_again_names_them() -> None:
    again = c.SubmitTask(
        knowledge_base_id=KNOWLEDGE_BASE, documents=2, source=t.TaskSource.RETRY, document_ids=DOCUMENTS[:2]
    )
    named = t.TaskSubmitted(
        knowledge_base_id=KNOWLEDGE_BASE, documents=2, source=t.TaskSource.RETRY, document_ids=DOCUMENTS[:2]
    )
    given().when(again).then(named)
    given(named).when(again).then_nothing()


@pytest.mark.parametrize("documents", [1, 3, DOCUMENTS_NAMED_MAX + 1])
def test_a_task_names_all_of_its_documents_and_not_too_many(documents: int) -> None:
    named = DOCUMENTS[:2] if documents < 10 else tuple(document_id(TASKS[0], ordinal) for ordinal in range(documents))
    again = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=documents, document_ids=named)
    given().when(again).then_refused(RefusalCode.VALIDATION_FAILED)


def test_the_documents_of_a_task_are_those_that_it_names_else_those_that_came_in_with_it() -> None:
    again = msgspec.structs.replace(SUBMITTED, document_ids=DOCUMENTS[:2])
    assert documents_of(TASKS[1], [envelope_of(again)]) == DOCUMENTS[:2]
    assert documents_of(TASKS[1], [envelope_of(SUBMITTED), envelope_of(CANCELLED)]) == (
        document_id(TASKS[1], 0),
        document_id(TASKS[1], 1),
    )
    assert documents_of(TASKS[1], []) == ()


def test_the_most_documents_that_a_task_names_fit_into_one_event() -> None:
    names = tuple(document_id(TASKS[0], ordinal) for ordinal in range(DOCUMENTS_NAMED_MAX))
    many = msgspec.structs.replace(SUBMITTED, documents=len(names), document_ids=names)
    assert len(encode(envelope_of(many))) < EVENT_BYTES_MAX


def envelope_of(event: t.TaskEvent) -> Envelope:
    return Envelope(
        event_id=EventId(uuid7_hex(1, bytes(10))),
        stream_id=TASKS[1],
        version=1,
        event=event,
        recorded_at_us=1,
        correlation_id=TASKS[1],
    )


@pytest.mark.parametrize("past", [(SUBMITTED,), (SUBMITTED, FINISHED)], ids=["open", "finished"])
def test_the_same_request_under_the_same_key_is_the_same_task(past: tuple[Event, ...]) -> None:
    given(*past).when(SUBMIT).then_nothing()


@pytest.mark.parametrize("past", [(SUBMITTED,), (SUBMITTED, FINISHED)], ids=["open", "finished"])
def test_another_request_under_the_same_key_is_refused(past: tuple[Event, ...]) -> None:
    other = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=2, request_sha256="b" * 64)
    given(*past).when(other).then_refused(RefusalCode.IDEMPOTENCY_KEY_REUSED)


def test_an_open_task_is_cancelled() -> None:
    given(SUBMITTED).when(CANCEL).then(CANCELLED)


@pytest.mark.parametrize("past", [(SUBMITTED, CANCELLED), (SUBMITTED, CANCELLED, FINISHED)], ids=["open", "finished"])
def test_cancelling_twice_is_cancelling_once(past: tuple[Event, ...]) -> None:
    given(*past).when(CANCEL).then_nothing()


def test_a_finished_task_is_not_cancelled() -> None:
    given(SUBMITTED, FINISHED).when(CANCEL).then_refused(RefusalCode.TASK_FINISHED)


@pytest.mark.parametrize("command", [CANCEL, FINISH], ids=["cancel", "finish"])
def test_a_task_that_does_not_exist_is_refused(command: c.TaskCommand) -> None:
    given().when(command).then_refused(RefusalCode.UNKNOWN_TASK)


def test_a_task_finishes_when_no_document_is_open() -> None:
    given(SUBMITTED).when(FINISH).then(FINISHED)


def test_a_cancelled_task_finishes_all_the_same() -> None:
    given(SUBMITTED, CANCELLED).when(FINISH).then(FINISHED)


@pytest.mark.parametrize(
    "tally",
    [
        Tally(open_documents=1, succeeded=1),
        Tally(open_documents=1, succeeded=1, failed=1),
        Tally(succeeded=1),
        Tally(succeeded=3),
        Tally(),
    ],
    ids=["one open", "one open too many", "one missing", "one too many", "tally deleted"],
)
def test_a_task_does_not_finish_before_every_document_has_ended(tally: Tally) -> None:
    given(SUBMITTED).when(c.FinishTask(tally=tally)).then_nothing()


def test_a_task_finishes_once() -> None:
    given(SUBMITTED, FINISHED).when(FINISH).then_nothing()


@pytest.mark.parametrize(
    ("tally", "outcome"),
    [
        (Tally(succeeded=2), TaskOutcome.COMPLETED),
        (Tally(skipped=2), TaskOutcome.COMPLETED),
        (Tally(succeeded=1, skipped=1), TaskOutcome.COMPLETED),
        (Tally(succeeded=1, failed=1), TaskOutcome.PARTIAL),
        (Tally(succeeded=1, cancelled=1), TaskOutcome.PARTIAL),
        (Tally(skipped=1, failed=1), TaskOutcome.PARTIAL),
        (Tally(skipped=1, cancelled=1), TaskOutcome.PARTIAL),
        (Tally(failed=2), TaskOutcome.FAILED),
        (Tally(failed=1, cancelled=1), TaskOutcome.FAILED),
        (Tally(cancelled=2), TaskOutcome.CANCELLED),
    ],
    ids=str,
)
def test_the_outcome_follows_from_how_the_documents_ended(tally: Tally, outcome: TaskOutcome) -> None:
    assert outcome_of(tally) is outcome
    finished = t.TaskFinished(
        succeeded=tally.succeeded, failed=tally.failed, cancelled=tally.cancelled, skipped=tally.skipped
    )
    given(SUBMITTED).when(c.FinishTask(tally=tally)).then(finished)
    state = given(SUBMITTED, finished).state
    assert isinstance(state, FinishedTask)
    assert state.outcome is outcome


def test_a_task_that_was_cancelled_too_late_for_all_its_documents_is_completed_and_says_when_it_was_cancelled() -> None:
    state = given(SUBMITTED, CANCELLED, t.TaskFinished(succeeded=2, failed=0, cancelled=0, skipped=0)).state

    assert isinstance(state, FinishedTask)
    assert (state.outcome, state.cancelled_at_us, state.finished_at_us) == (TaskOutcome.COMPLETED, 2, 3)


def test_a_task_keeps_what_was_asked() -> None:
    state = given(SUBMITTED).state

    assert isinstance(state, OpenTask)
    submitted = state.submitted
    assert (submitted.documents, submitted.lane, submitted.source) == (2, Lane.BULK, t.TaskSource.URL)
    assert (submitted.callback_url, submitted.not_before_us) == ("https://example.org/done", 9)
    assert (submitted.idempotency_key_sha256, submitted.submitted_at_us) == ("c" * 64, 1)


DELIVERED = t.CallbackDelivered(attempt=2, status_code=200)
FAILED = t.CallbackFailed(attempt=1, status_code=500, next_attempt_at_us=9)
GIVEN_UP = t.CallbackFailed(attempt=2, status_code=410)
DELIVER = c.RecordCallbackDelivered(attempt=2, status_code=200)
FAIL = c.RecordCallbackFailed(attempt=1, status_code=500, next_attempt_at_us=9)
GIVE_UP = c.RecordCallbackFailed(attempt=2, status_code=410)


@pytest.mark.parametrize("report", [DELIVERED, FAILED], ids=["delivered", "failed"])
def test_news_of_the_callback_change_how_it_went_and_nothing_else_of_a_finished_task(report: Event) -> None:
    state = given(SUBMITTED, FINISHED, report).state
    assert isinstance(state, FinishedTask)
    assert state.callback.attempts == (2 if report is DELIVERED else 1)
    assert state.callback.is_over is state.callback.is_delivered is (report is DELIVERED)
    assert replace(state, callback=CallbackState()) == given(SUBMITTED, FINISHED).state
    with pytest.raises(ImpossibleEvent):
        given(SUBMITTED, report)


def test_each_attempt_at_the_callback_is_recorded_once() -> None:
    given(SUBMITTED, FINISHED).when(FAIL).then(FAILED)
    given(SUBMITTED, FINISHED, FAILED).when(FAIL).then_nothing()
    given(SUBMITTED, FINISHED, FAILED).when(DELIVER).then(DELIVERED)
    given(SUBMITTED, FINISHED, FAILED, DELIVERED).when(DELIVER).then_nothing()
    given(SUBMITTED, FINISHED, FAILED).when(GIVE_UP).then(GIVEN_UP)
    given(SUBMITTED, FINISHED, FAILED, GIVEN_UP).when(GIVE_UP).then_nothing()


def test_an_attempt_that_failed_and_was_made_again_unknown_of_that_may_have_arrived() -> None:
    again = c.RecordCallbackDelivered(attempt=1, status_code=200)
    given(SUBMITTED, FINISHED, FAILED).when(again).then(t.CallbackDelivered(attempt=1, status_code=200))


def test_a_failure_that_is_told_late_does_not_take_back_that_the_callback_arrived() -> None:
    given(SUBMITTED, FINISHED, DELIVERED).when(GIVE_UP).then_nothing()


def test_nothing_is_recorded_of_callbacks_of_tasks_that_have_not_finished() -> None:
    given(SUBMITTED).when(DELIVER).then_nothing()
    given().when(FAIL).then_refused(RefusalCode.UNKNOWN_TASK)
