"""What a document's state remembers of its facts, and which facts cannot follow."""

import pytest

from domain.decider import Placement
from domain.deciders import DOCUMENT
from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    Edit,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Parsed,
    Queued,
    Removed,
    Serving,
    Stage,
    Unknown,
)
from domain.document_stages import stage_at
from domain.errors import ImpossibleEvent
from events import document as d
from events.envelope import Event
from events.steps import Lane, Step
from tests.facts import (
    ACCEPTED,
    CANCELLED,
    CHUNKED,
    ERASED,
    FIRST_BATCH,
    LAST_BATCH,
    OTHER_TASK_ID,
    PARSED,
    REMOVED,
    SKIPPED,
    TASK_ID,
    UNTIL_CHUNKED,
    UNTIL_EMBEDDED,
    UNTIL_ENDED,
    UNTIL_GONE,
    UNTIL_INDEXED,
    UNTIL_OPEN,
    UNTIL_PARSED,
    failed,
    reprocessing,
    retried,
    started,
)
from tests.specification import given
from tests.strategies import KNOWLEDGE_BASE


@pytest.mark.parametrize(
    "history",
    [
        (PARSED,),
        (REMOVED,),
        (ACCEPTED, ACCEPTED),
        (ACCEPTED, SKIPPED),
        (ACCEPTED, CHUNKED),
        (ACCEPTED, started(Step.CHUNK)),
        (ACCEPTED, retried(Step.EMBED)),
        (ACCEPTED, reprocessing(Step.PARSE)),
        (ACCEPTED, ERASED),
        (*UNTIL_PARSED, PARSED),
        (*UNTIL_CHUNKED, LAST_BATCH),
        (*UNTIL_CHUNKED, FIRST_BATCH, FIRST_BATCH),
        (*UNTIL_EMBEDDED, FIRST_BATCH),
        (*UNTIL_INDEXED, CANCELLED),
        (*UNTIL_INDEXED, failed(Step.INDEX)),
        (*UNTIL_ENDED["failed"], reprocessing(Step.INDEX)),
        (SKIPPED, reprocessing(Step.PARSE)),
        (*UNTIL_GONE["removed"], REMOVED),
        (*UNTIL_GONE["erased"], reprocessing(Step.PARSE)),
    ],
    ids=lambda history: " ".join(type(event).__name__ for event in history[-2:]),
)
def test_a_history_that_cannot_be_is_refused_loudly(history: tuple[Event, ...]) -> None:
    before = given(DOCUMENT, *history[:-1]).state
    with pytest.raises(ImpossibleEvent):
        DOCUMENT.evolve(before, history[-1], 99)


def test_every_state_keeps_what_the_ones_before_it_found_out() -> None:
    state = given(DOCUMENT, *UNTIL_INDEXED).state

    assert isinstance(state, Indexed)
    assert (state.record.about.filename, state.record.about.accepted_at_us) == (ACCEPTED.filename, 1)
    assert (state.text.text_blob, state.text.title, state.text.warnings) == ("text@1", "年报", PARSED.warnings)
    assert (state.chunks.chunks_blob, state.chunks.chunks) == ("chunks@1", 3)
    assert [(one.first_chunk, one.last_chunk) for one in state.batches] == [(0, 1), (2, 2)]
    assert (state.vectors.model, state.vectors.dimensions) == ("local", 512)
    assert state.record.serving == Serving(generation=1, chunks=3)


def test_a_stage_knows_when_it_was_first_begun_how_often_and_when_it_was_done() -> None:
    past = (ACCEPTED, started(Step.PARSE), retried(Step.PARSE), started(Step.PARSE, 2), PARSED)

    assert stage_at(given(DOCUMENT, *past[:-1]).state, Step.PARSE) == Stage(Step.PARSE, 2, 2)
    assert stage_at(given(DOCUMENT, *past).state, Step.PARSE) == Stage(Step.PARSE, 2, 2, 5)
    assert stage_at(given(DOCUMENT, *past).state, Step.CHUNK) is None


def test_a_stage_that_begins_again_on_request_starts_its_clock_anew() -> None:
    past = (*UNTIL_INDEXED, reprocessing(Step.INDEX), started(Step.INDEX, 2))
    at_us = len(past)

    assert stage_at(given(DOCUMENT, *past).state, Step.INDEX) == Stage(Step.INDEX, 2, at_us, None, 1)


def test_an_old_version_is_searched_until_the_new_one_is_complete() -> None:
    state = given(DOCUMENT, *UNTIL_INDEXED, reprocessing(Step.PARSE)).state
    assert isinstance(state, Accepted)
    assert state.record.serving == Serving(1, 3)

    done = given(
        DOCUMENT,
        *UNTIL_INDEXED,
        reprocessing(Step.INDEX),
        started(Step.INDEX, 2),
        d.DocumentIndexed(generation=2, chunks=5),
    ).state
    assert isinstance(done, Indexed)
    assert done.record.serving == Serving(2, 5)


@pytest.mark.parametrize(
    ("step", "kind"),
    [(Step.CHUNK, Parsed), (Step.EMBED, Chunked), (Step.INDEX, Embedded)],
    ids=lambda value: str(value),
)
def test_a_reprocessed_document_keeps_what_the_steps_before_made_and_changes_hands(step: Step, kind: type) -> None:
    state = given(DOCUMENT, *UNTIL_INDEXED, reprocessing(step)).state

    assert isinstance(state, kind)
    assert isinstance(state, Parsed | Chunked | Embedded)
    assert state.text.text_blob == "text@1"
    assert state.record.about.task_id == OTHER_TASK_ID
    assert state.record.earlier_tasks == (TASK_ID,)


def test_a_dead_letter_says_why_and_where_the_document_stood() -> None:
    state = given(DOCUMENT, *UNTIL_ENDED["failed"]).state

    assert isinstance(state, Failed)
    assert isinstance(state.reached, Parsed)
    assert (state.step, state.code, state.message) == (Step.CHUNK, "parse_failed", "not a PDF")


@pytest.mark.parametrize("end", [failed(Step.CHUNK), CANCELLED, REMOVED], ids=["failed", "cancelled", "removed"])
def test_nobody_is_at_work_on_a_document_that_has_ended(end: Event) -> None:
    state = given(DOCUMENT, *UNTIL_PARSED, started(Step.CHUNK), end).state

    ended = state.before if isinstance(state, Removed) else state
    assert isinstance(ended, Failed | Cancelled)
    assert ended.reached.activity == Queued(since_us=5)


def test_a_persons_edits_of_chunks_last_one_by_chunk() -> None:
    edits = (d.ChunkEdited(chunk_id="a", text="new"), d.ChunkEdited(chunk_id="b", enabled=False))
    again = d.ChunkEdited(chunk_id="a", text="newer")
    state = given(DOCUMENT, *UNTIL_INDEXED, *edits, again, reprocessing(Step.CHUNK)).state

    assert isinstance(state, Parsed)
    assert state.record.edits == (Edit("b", None, False), Edit("a", "newer", True))


def test_a_removed_document_remembers_how_it_had_ended() -> None:
    removed = given(DOCUMENT, *UNTIL_GONE["removed"]).state
    erased = given(DOCUMENT, *UNTIL_GONE["erased"]).state

    assert isinstance(removed, Removed)
    assert isinstance(erased, Erased)
    assert removed.before == erased.before == given(DOCUMENT, *UNTIL_INDEXED).state
    assert (erased.rows_left, erased.blobs_left) == (0, 0)


@pytest.mark.parametrize(
    "past",
    [*UNTIL_OPEN.values(), *UNTIL_ENDED.values(), *UNTIL_GONE.values()],
    ids=[*UNTIL_OPEN, *UNTIL_ENDED, *UNTIL_GONE],
)
def test_every_document_has_a_place_in_its_knowledge_base(past: tuple[Event, ...]) -> None:
    assert DOCUMENT.placement(given(DOCUMENT, *past).state) == Placement(KNOWLEDGE_BASE, Lane.INTERACTIVE)


def test_a_document_that_does_not_exist_has_no_place() -> None:
    with pytest.raises(ValueError, match="no place"):
        DOCUMENT.placement(Unknown())
