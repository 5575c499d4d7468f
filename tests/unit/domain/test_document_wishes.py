"""What follows when people want a document cancelled, begun again or removed, in each of its states."""

import pytest
from msgspec import UNSET, UnsetType

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Open, record_of
from domain.document_stages import attempts_at, counted_attempts_at
from domain.errors import RefusalCode
from events import document as d
from events.chunking import ChunkingSettings
from events.envelope import Event
from events.ids import TaskId
from events.steps import Step
from tests.commands_by_state import OWN_CHUNKING
from tests.facts import (
    ACCEPTED,
    CANCELLED,
    CHUNKED,
    EMBEDDED,
    ERASED,
    FETCHED,
    FIRST_BATCH,
    INDEXED,
    LAST_BATCH,
    OTHER_TASK_ID,
    PARSED,
    REMOVED,
    SKIPPED,
    TASK_ID,
    UNTIL_ACCEPTED,
    UNTIL_CHUNKED,
    UNTIL_EMBEDDED,
    UNTIL_ENDED,
    UNTIL_FETCHED,
    UNTIL_GONE,
    UNTIL_INDEXED,
    UNTIL_OPEN,
    batch,
    failed,
    failure,
    reprocessing,
    result_of,
    started,
)
from tests.specification import Given
from tests.specification import given as given_events
from tests.strategies import TASKS

STEPS = list(UNTIL_OPEN)
FACTS: dict[Step, Event] = {
    Step.FETCH: FETCHED,
    Step.PARSE: PARSED,
    Step.CHUNK: CHUNKED,
    Step.EMBED: EMBEDDED,
    Step.INDEX: INDEXED,
}
NOT_OPEN = {**UNTIL_ENDED, **UNTIL_GONE}
KNOWN = {**{step.value: past for step, past in UNTIL_OPEN.items()}, **UNTIL_ENDED}
CANCEL = c.CancelDocument(reason="no longer wanted")
REMOVE = c.RemoveDocument(reason="wrong file")

each_step = pytest.mark.parametrize("step", STEPS)


def given(*events: Event) -> Given[DocumentState, c.DocumentCommand]:
    return given_events(DOCUMENT, *events)


def before_the_result_of(step: Step) -> tuple[Event, ...]:
    """The step is running, and where it embeds, every batch is there."""
    batches = (FIRST_BATCH, LAST_BATCH) if step is Step.EMBED else ()
    return (*UNTIL_OPEN[step], started(step), *batches)


def reprocess(step: Step) -> c.RequestReprocessing:
    return c.RequestReprocessing(from_step=step, reason="again", task_id=OTHER_TASK_ID)


# Cancelling


@each_step
@pytest.mark.parametrize("is_running", [False, True], ids=["queued", "running"])
def test_an_open_document_is_cancelled(step: Step, is_running: bool) -> None:
    past = (*UNTIL_OPEN[step], *([started(step)] if is_running else []))
    given(*past).when(CANCEL).then(CANCELLED)


def test_cancelling_twice_is_cancelling_once() -> None:
    given(ACCEPTED, CANCELLED).when(CANCEL).then_nothing()


@pytest.mark.parametrize("ended", ["indexed", "failed", "skipped", "removed", "erased"])
def test_a_document_that_has_ended_is_not_cancelled(ended: str) -> None:
    given(*NOT_OPEN[ended]).when(CANCEL).then_refused(RefusalCode.DOCUMENT_ENDED)


@pytest.mark.parametrize(("asked_by", "is_cancelled"), [(OTHER_TASK_ID, True), (TASK_ID, False)])
def test_a_task_cancels_a_document_only_as_long_as_it_is_its_own(asked_by: TaskId, is_cancelled: bool) -> None:
    outcome = given(*UNTIL_INDEXED, reprocessing(Step.EMBED)).when(
        c.CancelDocument(reason="no longer wanted", task_id=asked_by)
    )
    if is_cancelled:
        outcome.then(CANCELLED)
    else:
        outcome.then_nothing()


def test_a_document_that_does_not_exist_is_not_cancelled() -> None:
    given().when(CANCEL).then_refused(RefusalCode.UNKNOWN_DOCUMENT)


# Reprocessing


@pytest.mark.parametrize("step", STEPS[1:])
def test_an_indexed_document_is_reprocessed_from_each_step(step: Step) -> None:
    given(*UNTIL_INDEXED).when(reprocess(step)).then(reprocessing(step))


@pytest.mark.parametrize("past", [UNTIL_INDEXED, (*UNTIL_FETCHED, CANCELLED)])
def test_what_is_here_is_not_fetched_again(past: tuple[Event, ...]) -> None:
    given(*past).when(reprocess(Step.FETCH)).then_refused(RefusalCode.STEP_NOT_REACHED)


@pytest.mark.parametrize("reached", STEPS)
@pytest.mark.parametrize("end", ["failed", "cancelled"])
@each_step
def test_a_document_that_ended_early_is_reprocessed_from_the_steps_that_it_came_to(
    reached: Step, end: str, step: Step
) -> None:
    past = (*UNTIL_OPEN[reached], started(reached), failed(reached) if end == "failed" else CANCELLED)
    outcome = given(*past).when(reprocess(step))
    if STEPS.index(step) <= STEPS.index(reached) and (step is not Step.FETCH or reached is Step.FETCH):
        outcome.then(reprocessing(step))
    else:
        outcome.then_refused(RefusalCode.STEP_NOT_REACHED)


@pytest.mark.parametrize("step", [Step.FINISH, Step.CALLBACK, Step.ERASE])
def test_a_step_that_is_not_a_documents_is_no_place_to_begin_again(step: Step) -> None:
    given(*UNTIL_INDEXED).when(reprocess(step)).then_refused(RefusalCode.STEP_NOT_REACHED)


@each_step
def test_a_document_that_is_being_worked_on_is_not_begun_anew(step: Step) -> None:
    given(*UNTIL_OPEN[step]).when(reprocess(Step.PARSE)).then_refused(RefusalCode.DOCUMENT_IN_PROGRESS)


def test_a_request_that_is_said_again_while_it_is_carried_out_changes_nothing() -> None:
    given(*UNTIL_INDEXED, reprocessing(Step.EMBED)).when(reprocess(Step.EMBED)).then_nothing()
    handed_on = d.ReprocessingRequested(from_step=Step.INDEX, reason="again", task_id=TASKS[2])
    past = (*UNTIL_INDEXED, reprocessing(Step.EMBED), CANCELLED)
    given(*past, d.ReprocessingRequested(from_step=Step.EMBED, reason="again", task_id=TASKS[2])).when(
        reprocess(Step.EMBED)
    ).then_nothing()
    given(*UNTIL_INDEXED, handed_on).when(reprocess(Step.INDEX)).then_refused(RefusalCode.DOCUMENT_IN_PROGRESS)


@pytest.mark.parametrize("reached", STEPS)
@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_without_a_step_a_document_goes_on_where_it_stopped(reached: Step, end: str) -> None:
    past = (*UNTIL_OPEN[reached], started(reached), failed(reached) if end == "failed" else CANCELLED)
    where_it_stopped = c.RequestReprocessing(reason="again", task_id=OTHER_TASK_ID)
    given(*past).when(where_it_stopped).then(reprocessing(reached))


def test_without_a_step_an_indexed_document_begins_from_its_source() -> None:
    from_anew = c.RequestReprocessing(reason="again", task_id=OTHER_TASK_ID)
    given(*UNTIL_INDEXED).when(from_anew).then(reprocessing(Step.PARSE))


@pytest.mark.parametrize(("step", "begins"), [(None, Step.CHUNK), (Step.PARSE, Step.PARSE), (Step.INDEX, Step.CHUNK)])
def test_whoever_says_how_it_is_cut_has_it_cut(step: Step | None, begins: Step) -> None:
    past = (*UNTIL_OPEN[Step.INDEX], started(Step.INDEX), failed(Step.INDEX))
    for chunking in (OWN_CHUNKING, None):
        asked = c.RequestReprocessing(from_step=step, reason="again", task_id=OTHER_TASK_ID, chunking=chunking)
        expected = d.ReprocessingRequested(from_step=begins, reason="again", task_id=OTHER_TASK_ID, chunking=chunking)
        given(*past).when(asked).then(expected)


def test_how_a_document_is_cut_stays_until_somebody_says_otherwise() -> None:
    own = d.ReprocessingRequested(from_step=Step.CHUNK, reason="", task_id=OTHER_TASK_ID, chunking=OWN_CHUNKING)
    again = d.ReprocessingRequested(from_step=Step.PARSE, reason="", task_id=TASKS[2])
    back = d.ReprocessingRequested(from_step=Step.CHUNK, reason="", task_id=TASKS[2], chunking=None)
    known = [given(*UNTIL_INDEXED, own, *later).state for later in ((), (CANCELLED, again), (CANCELLED, back))]
    assert [record_of(state).chunking for state in known if isinstance(state, Open)] == [OWN_CHUNKING] * 2 + [None]


@pytest.mark.parametrize("ended", ["indexed", "failed", "cancelled"])
def test_the_task_that_a_document_came_in_with_does_not_begin_it_anew(ended: str) -> None:
    again = c.RequestReprocessing(from_step=Step.PARSE, reason="again", task_id=TASK_ID)
    given(*UNTIL_ENDED[ended]).when(again).then_nothing()


def test_a_request_that_is_said_again_after_its_work_has_ended_does_not_begin_it_all_over() -> None:
    done_again = (*UNTIL_INDEXED, reprocessing(Step.INDEX), started(Step.INDEX, 2), INDEXED)
    given(*done_again).when(reprocess(Step.INDEX)).then_nothing()

    third = d.ReprocessingRequested(from_step=Step.INDEX, reason="again", task_id=TASKS[2])
    past = (*done_again, third, started(Step.INDEX, 3), INDEXED)
    given(*past).when(reprocess(Step.INDEX)).then_nothing()


def test_after_a_request_to_begin_again_attempts_go_on_counting_but_old_ones_are_forgiven() -> None:
    state = given(*UNTIL_INDEXED, reprocessing(Step.CHUNK)).state

    assert [attempts_at(state, step) for step in STEPS] == [0, 1, 1, 1, 1]
    assert [counted_attempts_at(state, step) for step in STEPS] == [0, 1, 0, 0, 0]
    given(*UNTIL_INDEXED, reprocessing(Step.CHUNK)).when(c.StartStep(step=Step.CHUNK, attempt=2, worker="w1")).then(
        started(Step.CHUNK, 2)
    )


def test_an_old_workers_result_does_not_enter_a_reprocessed_document() -> None:
    past = (*UNTIL_OPEN[Step.PARSE], started(Step.PARSE), CANCELLED, reprocessing(Step.PARSE), started(Step.PARSE, 2))
    given(*past).when(result_of(Step.PARSE, attempt=1)).then_nothing()
    given(*past).when(result_of(Step.PARSE, attempt=2)).then(PARSED)


def test_beginning_again_at_embedding_keeps_unfinished_batches_and_drops_finished_ones() -> None:
    unfinished = (*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH, CANCELLED, reprocessing(Step.EMBED))
    given(*unfinished, started(Step.EMBED, 2)).when(batch(1, 2, 2, attempt=2)).then(LAST_BATCH)

    finished = (*UNTIL_INDEXED, reprocessing(Step.EMBED), started(Step.EMBED, 2))
    given(*finished).when(batch(0, 0, 1, attempt=2)).then(FIRST_BATCH)


def test_a_duplicate_is_not_reprocessed() -> None:
    given(SKIPPED).when(reprocess(Step.PARSE)).then_refused(RefusalCode.DOCUMENT_ENDED)


@pytest.mark.parametrize("past", UNTIL_GONE.values(), ids=UNTIL_GONE)
def test_a_deleted_document_is_not_reprocessed(past: tuple[Event, ...]) -> None:
    given(*past).when(reprocess(Step.PARSE)).then_refused(RefusalCode.DOCUMENT_REMOVED)


def test_a_document_that_does_not_exist_is_not_reprocessed() -> None:
    given().when(reprocess(Step.PARSE)).then_refused(RefusalCode.UNKNOWN_DOCUMENT)


# Removing and erasing


@pytest.mark.parametrize("past", KNOWN.values(), ids=KNOWN)
def test_every_document_can_be_removed_open_or_ended(past: tuple[Event, ...]) -> None:
    given(*past).when(REMOVE).then(REMOVED)


@pytest.mark.parametrize("name", KNOWN)
def test_a_dead_letter_is_removed_as_such_only_while_it_is_one(name: str) -> None:
    outcome = given(*KNOWN[name]).when(c.RemoveDocument(reason="wrong file", only_failed=True))
    if name == "failed":
        outcome.then(REMOVED)
    else:
        outcome.then_refused(RefusalCode.NOT_A_DEAD_LETTER)


@pytest.mark.parametrize("past", UNTIL_GONE.values(), ids=UNTIL_GONE)
def test_a_document_is_removed_once(past: tuple[Event, ...]) -> None:
    given(*past).when(REMOVE).then_nothing()


def test_a_document_that_does_not_exist_is_not_removed() -> None:
    given().when(REMOVE).then_refused(RefusalCode.UNKNOWN_DOCUMENT)


def test_the_worker_of_a_removed_document_finds_that_nobody_waits_for_it() -> None:
    past = (*UNTIL_ACCEPTED, started(Step.PARSE), REMOVED)
    given(*past).when(result_of(Step.PARSE)).then_nothing()
    given(*past).when(failure(Step.PARSE)).then_nothing()


def test_what_was_removed_is_proved_to_be_erased() -> None:
    given(*UNTIL_EMBEDDED, REMOVED).when(c.RecordErased(rows_left=0, blobs_left=0)).then(ERASED)


@pytest.mark.parametrize("past", [(), *KNOWN.values(), UNTIL_GONE["erased"]], ids=["unknown", *KNOWN, "erased"])
def test_nothing_else_is_recorded_as_erased(past: tuple[Event, ...]) -> None:
    given(*past).when(c.RecordErased(rows_left=0, blobs_left=0)).then_nothing()


@pytest.mark.parametrize("chunking", [UNSET, None, OWN_CHUNKING])
def test_none_begins_again_at_a_step_that_no_document_goes_through_however_it_is_cut(
    chunking: ChunkingSettings | UnsetType | None,
) -> None:
    again = c.RequestReprocessing(from_step=Step.FINISH, reason="again", task_id=OTHER_TASK_ID, chunking=chunking)
    given(*UNTIL_INDEXED).when(again).then_refused(RefusalCode.STEP_NOT_REACHED)
