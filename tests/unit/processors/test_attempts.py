"""What a history says about attempts."""

from events.document import (
    ChunksEmbedded,
    DocumentChunked,
    DocumentEvent,
    ReprocessingRequested,
    StepFailed,
    StepStarted,
)
from events.envelope import Envelope
from events.ids import EventId, TaskId
from events.steps import Step
from processors.attempts import Attempts, attempts_of

CALL = DocumentChunked(chunks_blob="c", chunks=9, tokens=9, chunker="k")
AGAIN = ReprocessingRequested(from_step=Step.EMBED, reason="retry", task_id=TaskId("t"))
BATCH = ChunksEmbedded(batch=0, first_chunk=0, last_chunk=3, vectors_blob="v")


def start(attempt: int = 1, step: Step = Step.EMBED) -> StepStarted:
    return StepStarted(step=step, attempt=attempt, worker="w")


def failure(code: str = "odd", step: Step = Step.EMBED) -> StepFailed:
    return StepFailed(step=step, attempt=1, code=code, message="", retry_at_us=1)


def counted(*events: DocumentEvent) -> Attempts:
    history = [
        Envelope(
            event_id=EventId(f"{version:032x}"),
            stream_id="doc",
            version=version,
            event=event,
            recorded_at_us=version,
            correlation_id="task",
        )
        for version, event in enumerate(events, start=1)
    ]
    return attempts_of(history, Step.EMBED)


def test_nothing_has_happened_at_first() -> None:
    assert counted() == Attempts()
    assert counted(CALL) == Attempts(called_at=1, called_at_us=1)


def test_other_steps_are_not_counted() -> None:
    assert counted(CALL, start(step=Step.PARSE), failure(step=Step.PARSE)) == Attempts(called_at=1, called_at_us=1)


def test_a_failure_ends_its_start_and_calls_again() -> None:
    assert counted(CALL, start(), failure()) == Attempts(called_at=3, called_at_us=3, failures=("odd",))


def test_starts_without_an_end_add_up() -> None:
    assert counted(CALL, start(), start(2), start(3)).fruitless == 3
    assert counted(CALL, start(), start(2), failure(), start(3)).fruitless == 2


def test_progress_clears_the_name_of_a_document_whose_workers_died() -> None:
    assert counted(CALL, start(), start(2), BATCH).fruitless == 0
    assert counted(CALL, start(), start(2), BATCH, start(3)).fruitless == 1


def test_outages_do_not_count_and_everything_else_does() -> None:
    attempts = counted(CALL, start(), failure("log_unavailable"), start(2), failure("odd"), start(3))
    assert (attempts.outages, attempts.counted) == (1, 2)


def test_a_request_to_reprocess_forgives_everything() -> None:
    assert counted(CALL, start(), failure(), start(2), AGAIN) == Attempts(called_at=5, called_at_us=5)
