"""What a client sees of every state."""

from datetime import UTC, datetime

import msgspec
import pytest

from domain.counts import Counts
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import Unknown
from domain.knowledge_base import ActiveKnowledgeBase
from domain.knowledge_base_status import KnowledgeBaseCounts, knowledge_base_status
from domain.origin import Origin
from domain.status import (
    DocumentCounts,
    DocumentError,
    DocumentStatus,
    Wait,
    WaitReason,
    document_phase,
    document_status,
    task_status,
    utc,
)
from domain.task import FinishedTask, OpenTask
from events import knowledge_base as k
from events import task as t
from events.envelope import Event
from events.steps import Lane, Step
from tests.facts import (
    ACCEPTED,
    CANCELLED,
    DOCUMENT_ID,
    FIRST_BATCH,
    LAST_BATCH,
    OTHER_TASK_ID,
    REMOVED,
    REQUESTED,
    RETRY_AT_US,
    SKIPPED,
    TASK_ID,
    UNTIL_CHUNKED,
    UNTIL_EMBEDDED,
    UNTIL_ENDED,
    UNTIL_FETCHED,
    UNTIL_GONE,
    UNTIL_INDEXED,
    UNTIL_PARSED,
    failed,
    reprocessing,
    retried,
    started,
)
from tests.specification import given
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE


def seen(*past: Event) -> DocumentStatus:
    """What a client sees after these events, the last of which is recorded at 1 s."""
    status = document_status(DOCUMENT_ID, given(DOCUMENT, *past).state, version=len(past), updated_at_us=1_000_000)
    assert status is not None
    return status


SEEN = {
    "accepted": ((ACCEPTED,), "queued", 0.0, False),
    "requested": ((REQUESTED,), "queued", 0.0, False),
    "being fetched": ((REQUESTED, started(Step.FETCH)), "fetching", 0.0, False),
    "fetched again soon": ((REQUESTED, started(Step.FETCH), retried(Step.FETCH)), "fetching", 0.0, False),
    "fetched": (UNTIL_FETCHED, "parsing", 0.0, False),
    "fetched and begun again": (
        (*UNTIL_FETCHED, started(Step.PARSE), failed(Step.PARSE), reprocessing(Step.PARSE)),
        "queued",
        0.0,
        False,
    ),
    "being parsed": ((ACCEPTED, started(Step.PARSE)), "parsing", 0.0, False),
    "parsed again soon": ((ACCEPTED, started(Step.PARSE), retried(Step.PARSE)), "parsing", 0.0, False),
    "parsed": (UNTIL_PARSED, "chunking", 0.2, False),
    "being chunked": ((*UNTIL_PARSED, started(Step.CHUNK)), "chunking", 0.2, False),
    "chunked": (UNTIL_CHUNKED, "embedding", 0.3, False),
    "two of three chunks embedded": ((*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH), "embedding", 0.7, False),
    "all chunks embedded": ((*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH, LAST_BATCH), "embedding", 0.9, False),
    "embedded": (UNTIL_EMBEDDED, "indexing", 0.9, False),
    "indexed": (UNTIL_INDEXED, "completed", 1.0, True),
    "begun again": ((*UNTIL_INDEXED, reprocessing(Step.PARSE)), "queued", 0.0, True),
    "begun again later on": ((*UNTIL_INDEXED, reprocessing(Step.EMBED)), "embedding", 0.3, True),
    "failed": (UNTIL_ENDED["failed"], "failed", 0.2, False),
    "failed after having been indexed": (
        (*UNTIL_INDEXED, reprocessing(Step.PARSE), started(Step.PARSE, 2), failed(Step.PARSE)),
        "failed",
        0.0,
        True,
    ),
    "cancelled": (UNTIL_ENDED["cancelled"], "cancelled", 0.2, False),
    "skipped": ((SKIPPED,), "skipped", 1.0, False),
    "removed": (UNTIL_GONE["removed"], "deleted", 1.0, False),
    "removed while open": ((*UNTIL_PARSED, REMOVED), "deleted", 0.2, False),
    "removed duplicate": ((SKIPPED, REMOVED), "deleted", 1.0, False),
    "erased": (UNTIL_GONE["erased"], "deleted", 1.0, False),
}


@pytest.mark.parametrize(("past", "status", "progress", "searchable"), SEEN.values(), ids=SEEN)
def test_every_state_is_seen_as(past: tuple[Event, ...], status: str, progress: float, searchable: bool) -> None:
    document = seen(*past)

    assert (document.status.value, document.progress, document.searchable) == (status, progress, searchable)
    assert document_phase(given(DOCUMENT, *past).state) is document.status
    assert document.version == len(past)
    assert document.updated_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_document_that_does_not_exist_is_not_seen() -> None:
    assert document_status(DOCUMENT_ID, Unknown(), version=0, updated_at_us=0) is None


def test_a_client_sees_what_is_known_of_a_document() -> None:
    document = seen(*UNTIL_INDEXED)

    assert (document.document_id, document.task_id, document.knowledge_base_id) == (
        DOCUMENT_ID,
        TASK_ID,
        KNOWLEDGE_BASE,
    )
    assert (document.filename, document.media_type, document.size_bytes) == ("年报.pdf", "application/pdf", 1_234)
    assert (document.sha256, document.metadata) == ("a" * 64, {"year": 2026})
    assert (document.title, document.language, document.warnings) == ("年报", "zh", ("page 2 is empty",))
    assert document.accepted_at == utc(1)
    assert (document.error, document.waiting, document.duplicate_of) == (None, None, None)


def test_a_client_sees_where_a_document_is_fetched_from_and_then_what_it_is() -> None:
    wanted, here = seen(REQUESTED), seen(*UNTIL_FETCHED)

    assert wanted.origin == here.origin == Origin(url="https://example.com/report")
    assert (wanted.filename, wanted.media_type, wanted.size_bytes, wanted.sha256) == ("report", "", 0, "")
    assert (here.filename, here.media_type, here.size_bytes, here.sha256) == (
        "年报.pdf",
        "application/pdf",
        1_234,
        "a" * 64,
    )
    assert wanted.accepted_at == here.accepted_at == utc(1)
    assert [(stage.step, stage.attempts) for stage in here.stages] == [(Step.FETCH, 1)]


@pytest.mark.parametrize(
    ("past", "counts"),
    [
        ((ACCEPTED,), DocumentCounts()),
        (UNTIL_PARSED, DocumentCounts(pages=3, characters=4_000)),
        (UNTIL_CHUNKED, DocumentCounts(pages=3, characters=4_000, chunks=3, tokens=600)),
        (
            (*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH),
            DocumentCounts(pages=3, characters=4_000, chunks=3, chunks_embedded=2, tokens=600),
        ),
        (UNTIL_INDEXED, DocumentCounts(pages=3, characters=4_000, chunks=3, chunks_embedded=3, tokens=600)),
        (UNTIL_ENDED["failed"], DocumentCounts(pages=3, characters=4_000)),
        ((SKIPPED,), DocumentCounts()),
    ],
    ids=["accepted", "parsed", "chunked", "partly embedded", "indexed", "failed", "skipped"],
)
def test_counts_show_what_was_found_so_far(past: tuple[Event, ...], counts: DocumentCounts) -> None:
    assert seen(*past).counts == counts


def test_stages_come_in_the_order_of_the_work_with_attempts_and_times() -> None:
    stages = seen(*UNTIL_PARSED, started(Step.CHUNK), retried(Step.CHUNK), started(Step.CHUNK, 2)).stages

    assert [(stage.step, stage.attempts) for stage in stages] == [(Step.PARSE, 1), (Step.CHUNK, 2)]
    assert [(stage.started_at, stage.finished_at) for stage in stages] == [(utc(2), utc(3)), (utc(4), None)]


def test_a_failed_attempt_shows_its_error_and_when_the_next_one_is_due() -> None:
    document = seen(ACCEPTED, started(Step.PARSE), retried(Step.PARSE))

    assert document.error == DocumentError(
        code="timeout", message="too slow", step=Step.PARSE, retry_at=utc(RETRY_AT_US)
    )
    assert document.waiting == Wait(reason=WaitReason.NEXT_ATTEMPT, until=utc(RETRY_AT_US))


def test_a_dead_letter_shows_its_error_without_a_next_time() -> None:
    document = seen(*UNTIL_ENDED["failed"])

    assert document.error == DocumentError(code="parse_failed", message="not a PDF", step=Step.CHUNK, retry_at=None)
    assert document.waiting is None


def test_the_error_goes_when_the_next_attempt_begins() -> None:
    assert seen(ACCEPTED, started(Step.PARSE), retried(Step.PARSE), started(Step.PARSE, 2)).error is None


def test_every_wait_says_what_for() -> None:
    timed = msgspec.structs.replace(ACCEPTED, not_before_us=5_000_000)

    assert seen(ACCEPTED).waiting == Wait(reason=WaitReason.FREE_WORKER, since=utc(1))
    assert seen(timed).waiting == Wait(reason=WaitReason.NOT_BEFORE, since=utc(1), until=utc(5_000_000))
    assert seen(*UNTIL_PARSED).waiting == Wait(reason=WaitReason.FREE_WORKER, since=utc(3))
    assert seen(ACCEPTED, started(Step.PARSE)).waiting is None
    for past in (*UNTIL_ENDED.values(), *UNTIL_GONE.values(), (ACCEPTED, REMOVED), (ACCEPTED, CANCELLED)):
        assert seen(*past).waiting is None


def test_a_removed_dead_letter_shows_no_error_any_more() -> None:
    assert seen(*UNTIL_ENDED["failed"], REMOVED).error is None


def test_a_duplicate_names_the_document_that_it_repeats() -> None:
    document = seen(SKIPPED)

    assert (document.duplicate_of, document.filename, document.accepted_at) == (DOCUMENTS[1], "copy.pdf", utc(1))


def test_a_reprocessed_document_is_seen_under_the_task_that_works_on_it_now() -> None:
    assert seen(*UNTIL_INDEXED, reprocessing(Step.CHUNK)).task_id == OTHER_TASK_ID


SUBMITTED = t.TaskSubmitted(knowledge_base_id=KNOWLEDGE_BASE, documents=4, lane=Lane.BULK, source=t.TaskSource.URL)
TASKS_SEEN = {
    "nothing begun": ((SUBMITTED,), Counts(queued=4), "queued", 0.0),
    "one begun": ((SUBMITTED,), Counts(queued=3, processing=1, progress=200), "processing", 0.05),
    "one skipped at once": ((SUBMITTED,), Counts(queued=3, skipped=1, progress=1_000), "processing", 0.25),
    "cancelled, one still open": (
        (SUBMITTED, t.TaskCancelled()),
        Counts(processing=1, cancelled=3, progress=3_000),
        "processing",
        0.75,
    ),
    "all ended, not finished yet": ((SUBMITTED,), Counts(completed=4, progress=4_000), "processing", 1.0),
    "completed": (
        (SUBMITTED, t.TaskFinished(succeeded=4, failed=0, cancelled=0, skipped=0)),
        Counts(completed=4, progress=4_000),
        "completed",
        1.0,
    ),
    "partial": (
        (SUBMITTED, t.TaskFinished(succeeded=3, failed=1, cancelled=0, skipped=0)),
        Counts(completed=3, failed=1, progress=4_000),
        "partial",
        1.0,
    ),
    "failed": (
        (SUBMITTED, t.TaskFinished(succeeded=0, failed=4, cancelled=0, skipped=0)),
        Counts(failed=4, progress=4_000),
        "failed",
        1.0,
    ),
    "cancelled": (
        (SUBMITTED, t.TaskCancelled(), t.TaskFinished(succeeded=0, failed=0, cancelled=4, skipped=0)),
        Counts(cancelled=4, progress=4_000),
        "cancelled",
        1.0,
    ),
}


@pytest.mark.parametrize(("past", "counts", "status", "progress"), TASKS_SEEN.values(), ids=TASKS_SEEN)
def test_every_state_of_a_task_is_seen_as(
    past: tuple[Event, ...], counts: Counts, status: str, progress: float
) -> None:
    state = given(TASK, *past).state
    assert isinstance(state, OpenTask | FinishedTask)
    task = task_status(TASK_ID, state, counts, version=9, started_at_us=None, updated_at_us=7)

    assert (task.status.value, task.progress) == (status, progress)
    documents = msgspec.structs.asdict(task.documents)
    assert documents.pop("total") == sum(documents.values()) == 4
    assert (task.version, task.updated_at, task.started_at) == (9, utc(7), None)


def test_a_client_sees_what_is_known_of_a_task() -> None:
    past = (SUBMITTED, t.TaskCancelled(), t.TaskFinished(succeeded=0, failed=0, cancelled=4, skipped=0))
    state = given(TASK, *past).state
    assert isinstance(state, FinishedTask)
    task = task_status(TASK_ID, state, Counts(cancelled=4), version=1, started_at_us=5, updated_at_us=7)

    assert (task.task_id, task.knowledge_base_id) == (TASK_ID, KNOWLEDGE_BASE)
    assert (task.lane, task.source) == (Lane.BULK, t.TaskSource.URL)
    assert (task.submitted_at, task.cancelled_at, task.finished_at, task.started_at) == (utc(1), utc(2), utc(3), utc(5))
    assert task.links == {
        "self": f"/api/v1/tasks/{TASK_ID}",
        "documents": f"/api/v1/tasks/{TASK_ID}/documents",
        "stream": f"/api/v1/tasks/{TASK_ID}/stream",
    }


def test_a_client_sees_what_is_known_of_a_knowledge_base() -> None:
    past = (k.KnowledgeBaseCreated(name="手册", description="all of it"), k.IndexGenerationStarted(generation=2))
    state = given(knowledge_base_decider(KNOWLEDGE_BASE), *past).state
    assert isinstance(state, ActiveKnowledgeBase)
    counts = KnowledgeBaseCounts(queued=1, completed=2, failed=1, searchable=2, chunks=6, size_bytes=99)
    status = knowledge_base_status(KNOWLEDGE_BASE, state, counts, version=4, updated_at_us=8)

    assert (status.name, status.description, status.index_generation) == ("手册", "all of it", 1)
    assert (status.index_generation_building, status.version, status.updated_at) == (2, 4, utc(8))
    assert (status.documents.total, status.documents.completed, status.documents.searchable) == (4, 2, 2)
    assert (status.chunks, status.size_bytes) == (6, 99)
    assert status.links["search"] == f"/api/v1/knowledge-bases/{KNOWLEDGE_BASE}/search"


@pytest.mark.parametrize("unix_us", [0, 1, 1_763_935_000_123_456, 253_402_300_799_999_999])
def test_times_are_exact_to_the_microsecond_and_in_utc(unix_us: int) -> None:
    assert (utc(unix_us) - utc(0)).total_seconds() == pytest.approx(unix_us / 1e6)
    assert utc(unix_us).microsecond == unix_us % 1_000_000
    assert utc(unix_us).utcoffset() == utc(0) - utc(0)
