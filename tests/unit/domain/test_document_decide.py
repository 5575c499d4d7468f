"""What follows from what workers and uploads say about a document; what people ask is in test_document_wishes.py."""

import pytest

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import DocumentState
from events import document as d
from events.envelope import Event
from events.steps import Step
from tests.facts import (
    ACCEPT,
    ACCEPTED,
    CHUNKED,
    EMBEDDED,
    FETCHED,
    FIRST_BATCH,
    INDEXED,
    LAST_BATCH,
    OTHER_TASK_ID,
    PARSED,
    SKIP,
    SKIPPED,
    UNTIL_CHUNKED,
    UNTIL_ENDED,
    UNTIL_GONE,
    UNTIL_OPEN,
    UNTIL_PARSED,
    batch,
    failed,
    failure,
    result_of,
    retried,
    started,
)
from tests.specification import Given
from tests.specification import given as given_events

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


# Coming in


def test_a_stored_upload_is_accepted() -> None:
    given().when(ACCEPT).then(ACCEPTED)


def test_a_duplicate_is_skipped() -> None:
    given().when(SKIP).then(SKIPPED)


@pytest.mark.parametrize("past", [*KNOWN.values(), *UNTIL_GONE.values()], ids=[*KNOWN, *UNTIL_GONE])
@pytest.mark.parametrize("command", [ACCEPT, SKIP], ids=["accept", "skip"])
def test_a_document_comes_in_once(past: tuple[Event, ...], command: c.DocumentCommand) -> None:
    given(*past).when(command).then_nothing()


# Starting


@each_step
def test_a_worker_starts_the_step_that_the_document_waits_for(step: Step) -> None:
    given(*UNTIL_OPEN[step]).when(c.StartStep(step=step, attempt=1, worker="w1")).then(started(step))


@each_step
def test_no_worker_starts_another_step(step: Step) -> None:
    for other in Step:
        if other is not step:
            given(*UNTIL_OPEN[step]).when(c.StartStep(step=other, attempt=1, worker="w1")).then_nothing()


@pytest.mark.parametrize("attempt", [0, 2])
def test_an_attempt_is_one_more_than_the_document_has_seen(attempt: int) -> None:
    given(ACCEPTED).when(c.StartStep(step=Step.PARSE, attempt=attempt, worker="w1")).then_nothing()


@each_step
def test_a_step_whose_worker_died_is_started_again_under_the_next_number(step: Step) -> None:
    past = (*UNTIL_OPEN[step], started(step))
    given(*past).when(c.StartStep(step=step, attempt=2, worker="w2")).then(
        d.StepStarted(step=step, attempt=2, worker="w2")
    )
    given(*past).when(c.StartStep(step=step, attempt=1, worker="w2")).then_nothing()


@each_step
def test_a_step_that_waits_for_its_next_attempt_is_started_again(step: Step) -> None:
    past = (*UNTIL_OPEN[step], started(step), retried(step))
    given(*past).when(c.StartStep(step=step, attempt=2, worker="w1")).then(started(step, 2))


@pytest.mark.parametrize("past", NOT_OPEN.values(), ids=NOT_OPEN)
@each_step
def test_nothing_is_started_on_a_document_that_has_ended(past: tuple[Event, ...], step: Step) -> None:
    for attempt in (1, 2):
        given(*past).when(c.StartStep(step=step, attempt=attempt, worker="w1")).then_nothing()


def test_nothing_is_started_on_a_document_that_does_not_exist() -> None:
    given().when(c.StartStep(step=Step.PARSE, attempt=1, worker="w1")).then_nothing()


# Results


@each_step
def test_the_result_of_a_running_step_is_recorded(step: Step) -> None:
    given(*before_the_result_of(step)).when(result_of(step)).then(FACTS[step])


@each_step
def test_the_result_of_a_step_that_nobody_started_is_not_recorded(step: Step) -> None:
    given(*UNTIL_OPEN[step]).when(result_of(step)).then_nothing()


@each_step
def test_a_zombies_result_is_not_recorded_once_another_worker_has_taken_over(step: Step) -> None:
    past = (*before_the_result_of(step), started(step, 2))
    given(*past).when(result_of(step, attempt=1)).then_nothing()
    given(*past).when(result_of(step, attempt=2)).then(FACTS[step])


@each_step
def test_a_result_that_comes_after_its_attempt_was_given_up_is_not_recorded(step: Step) -> None:
    given(*before_the_result_of(step), retried(step)).when(result_of(step)).then_nothing()


@each_step
def test_a_result_that_comes_twice_is_recorded_once(step: Step) -> None:
    given(*before_the_result_of(step), FACTS[step]).when(result_of(step)).then_nothing()


@each_step
def test_a_result_of_another_step_is_not_recorded(step: Step) -> None:
    for other in STEPS:
        if other is not step:
            given(*before_the_result_of(step)).when(result_of(other)).then_nothing()


@pytest.mark.parametrize("past", [(), *NOT_OPEN.values()], ids=["unknown", *NOT_OPEN])
@each_step
def test_nobody_waits_for_a_result_once_the_document_has_ended(past: tuple[Event, ...], step: Step) -> None:
    given(*past).when(result_of(step)).then_nothing()


def test_a_document_without_any_chunk_fails_instead_of_succeeding_with_nothing_to_find() -> None:
    nothing = c.RecordChunked(attempt=1, chunks_blob="chunks@1", chunks=0, tokens=0, chunker="markdown")
    given(*UNTIL_PARSED, started(Step.CHUNK)).when(nothing).then(
        d.DocumentFailed(step=Step.CHUNK, code="no_text", message="there is no text in it")
    )


# Batches of vectors


def test_batches_are_recorded_as_they_finish() -> None:
    past = (*UNTIL_CHUNKED, started(Step.EMBED))
    given(*past).when(batch(0, 0, 1)).then(FIRST_BATCH)
    given(*past, FIRST_BATCH).when(batch(1, 2, 2)).then(LAST_BATCH)


@pytest.mark.parametrize(
    ("number", "first_chunk", "last_chunk"),
    [(0, 0, 1), (2, 2, 2), (1, 1, 2), (1, 3, 3), (1, 2, 3), (1, 2, 1)],
    ids=["repeated", "skips one", "overlaps", "leaves a hole", "past the end", "empty"],
)
def test_a_batch_that_is_not_the_next_is_not_recorded(number: int, first_chunk: int, last_chunk: int) -> None:
    past = (*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH)
    given(*past).when(batch(number, first_chunk, last_chunk)).then_nothing()


def test_a_zombies_batch_is_not_recorded() -> None:
    past = (*UNTIL_CHUNKED, started(Step.EMBED), started(Step.EMBED, 2))
    given(*past).when(batch(0, 0, 1, attempt=1)).then_nothing()
    given(*past).when(batch(0, 0, 1, attempt=2)).then(FIRST_BATCH)


def test_the_next_attempt_goes_on_behind_the_batches_that_are_there() -> None:
    past = (*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH, retried(Step.EMBED), started(Step.EMBED, 2))
    given(*past).when(batch(1, 2, 2, attempt=2)).then(LAST_BATCH)
    given(*past).when(batch(0, 0, 1, attempt=2)).then_nothing()


def test_a_document_is_not_embedded_while_a_batch_is_missing() -> None:
    given(*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH).when(result_of(Step.EMBED)).then_nothing()


# Failures


@each_step
def test_a_failed_attempt_with_a_time_is_retried(step: Step) -> None:
    given(*UNTIL_OPEN[step], started(step)).when(failure(step)).then(retried(step))


@each_step
def test_a_failed_attempt_without_a_time_is_a_dead_letter(step: Step) -> None:
    given(*UNTIL_OPEN[step], started(step)).when(failure(step, retry_at_us=None)).then(failed(step))


@each_step
@pytest.mark.parametrize("retry_at_us", [7, None], ids=["retry", "dead letter"])
def test_a_zombies_failure_does_not_end_the_attempt_of_another(step: Step, retry_at_us: int | None) -> None:
    given(*UNTIL_OPEN[step], started(step), started(step, 2)).when(
        failure(step, 1, retry_at_us=retry_at_us)
    ).then_nothing()


@each_step
def test_a_failure_is_recorded_once(step: Step) -> None:
    given(*UNTIL_OPEN[step], started(step), retried(step)).when(failure(step)).then_nothing()


@each_step
def test_a_step_that_does_not_run_cannot_fail(step: Step) -> None:
    given(*UNTIL_OPEN[step]).when(failure(step)).then_nothing()
    for other in STEPS:
        if other is not step:
            given(*UNTIL_OPEN[step], started(step)).when(failure(other)).then_nothing()


@pytest.mark.parametrize("past", [(), *NOT_OPEN.values()], ids=["unknown", *NOT_OPEN])
def test_a_document_that_has_ended_cannot_fail(past: tuple[Event, ...]) -> None:
    given(*past).when(failure(Step.CHUNK)).then_nothing()
    given(*past).when(failure(Step.CHUNK, retry_at_us=None)).then_nothing()
