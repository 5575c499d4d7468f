"""One example of each fact and command about a document, and the ways that lead to each of its states."""

from typing import Final

from domain import commands as c
from events import document as d
from events.envelope import Event
from events.steps import Step
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS

TASK_ID: Final = TASKS[0]
OTHER_TASK_ID: Final = TASKS[1]
DOCUMENT_ID: Final = DOCUMENTS[0]
RETRY_AT_US: Final = 60_000_000

ACCEPT: Final = c.AcceptDocument(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="年报.pdf",
    media_type="application/pdf",
    size_bytes=1_234,
    sha256="a" * 64,
    source_blob="documents/x/source@n",
    declared_media_type="application/octet-stream",
    metadata={"year": 2026},
)
ACCEPTED: Final = d.DocumentAccepted(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="年报.pdf",
    media_type="application/pdf",
    size_bytes=1_234,
    sha256="a" * 64,
    source_blob="documents/x/source@n",
    declared_media_type="application/octet-stream",
    metadata={"year": 2026},
)
REQUEST: Final = c.RequestDocument(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="report",
    url="https://example.com/report",
    sidecar_blob="documents/x/request@n.json",
    metadata={"year": 2026},
)
REQUESTED: Final = d.DocumentRequested(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="report",
    url="https://example.com/report",
    sidecar_blob="documents/x/request@n.json",
    metadata={"year": 2026},
)
FETCHED: Final = d.DocumentFetched(
    filename="年报.pdf",
    media_type="application/pdf",
    size_bytes=1_234,
    sha256="a" * 64,
    source_blob="documents/x/source@n",
    declared_media_type="application/octet-stream",
    url="https://files.example.com/report.pdf",
)
SKIP: Final = c.SkipDocument(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="copy.pdf",
    media_type="application/pdf",
    size_bytes=1_234,
    sha256="a" * 64,
    duplicate_of=DOCUMENTS[1],
)
SKIPPED: Final = d.DocumentSkipped(
    knowledge_base_id=KNOWLEDGE_BASE,
    task_id=TASK_ID,
    filename="copy.pdf",
    media_type="application/pdf",
    size_bytes=1_234,
    sha256="a" * 64,
    duplicate_of=DOCUMENTS[1],
)
PARSED: Final = d.DocumentParsed(
    text_blob="text@1",
    parser="plain",
    pages=3,
    characters=4_000,
    language="zh",
    title="年报",
    warnings=("page 2 is empty",),
)
CHUNKED: Final = d.DocumentChunked(chunks_blob="chunks@1", chunks=3, tokens=600, chunker="markdown")
FIRST_BATCH: Final = d.ChunksEmbedded(batch=0, first_chunk=0, last_chunk=1, vectors_blob="vectors/0@1")
LAST_BATCH: Final = d.ChunksEmbedded(batch=1, first_chunk=2, last_chunk=2, vectors_blob="vectors/1@1")
EMBEDDED: Final = d.DocumentEmbedded(model="local", dimensions=512, tokens=600)
INDEXED: Final = d.DocumentIndexed(generation=1, chunks=3)
CANCELLED: Final = d.DocumentCancelled(reason="no longer wanted")
REMOVED: Final = d.DocumentRemoved(reason="wrong file")
ERASED: Final = d.DocumentErased(rows_left=0, blobs_left=0)


def started(step: Step, attempt: int = 1) -> d.StepStarted:
    """Worker w1 began an attempt."""
    return d.StepStarted(step=step, attempt=attempt, worker="w1")


def retried(step: Step, attempt: int = 1) -> d.StepFailed:
    """The attempt failed and will be made again."""
    return d.StepFailed(step=step, attempt=attempt, code="timeout", message="too slow", retry_at_us=RETRY_AT_US)


def failed(step: Step) -> d.DocumentFailed:
    """The last attempt failed."""
    return d.DocumentFailed(step=step, code="parse_failed", message="not a PDF")


def reprocessing(from_step: Step) -> d.ReprocessingRequested:
    """Asked for by another task."""
    return d.ReprocessingRequested(from_step=from_step, reason="again", task_id=OTHER_TASK_ID)


UNTIL_ACCEPTED: Final[tuple[Event, ...]] = (ACCEPTED,)
UNTIL_PARSED: Final = (*UNTIL_ACCEPTED, started(Step.PARSE), PARSED)
UNTIL_CHUNKED: Final = (*UNTIL_PARSED, started(Step.CHUNK), CHUNKED)
UNTIL_EMBEDDED: Final = (*UNTIL_CHUNKED, started(Step.EMBED), FIRST_BATCH, LAST_BATCH, EMBEDDED)
UNTIL_INDEXED: Final = (*UNTIL_EMBEDDED, started(Step.INDEX), INDEXED)

UNTIL_REQUESTED: Final[tuple[Event, ...]] = (REQUESTED,)
UNTIL_FETCHED: Final = (*UNTIL_REQUESTED, started(Step.FETCH), FETCHED)

UNTIL_OPEN: Final[dict[Step, tuple[Event, ...]]] = {
    Step.FETCH: UNTIL_REQUESTED,
    Step.PARSE: UNTIL_ACCEPTED,
    Step.CHUNK: UNTIL_PARSED,
    Step.EMBED: UNTIL_CHUNKED,
    Step.INDEX: UNTIL_EMBEDDED,
}
"""The ways to the five open states, by the step that they wait for."""

UNTIL_ENDED: Final[dict[str, tuple[Event, ...]]] = {
    "indexed": UNTIL_INDEXED,
    "failed": (*UNTIL_PARSED, started(Step.CHUNK), failed(Step.CHUNK)),
    "cancelled": (*UNTIL_PARSED, CANCELLED),
    "skipped": (SKIPPED,),
}
UNTIL_GONE: Final[dict[str, tuple[Event, ...]]] = {
    "removed": (*UNTIL_INDEXED, REMOVED),
    "erased": (*UNTIL_INDEXED, REMOVED, ERASED),
}


def result_of(step: Step, attempt: int = 1) -> c.DocumentCommand:
    """What a worker reports when a step is done (the last batch of vectors is recorded already)."""
    match step:
        case Step.FETCH:
            return c.RecordFetched(
                attempt=attempt,
                filename="年报.pdf",
                media_type="application/pdf",
                size_bytes=1_234,
                sha256="a" * 64,
                source_blob="documents/x/source@n",
                declared_media_type="application/octet-stream",
                url="https://files.example.com/report.pdf",
            )
        case Step.PARSE:
            return c.RecordParsed(
                attempt=attempt,
                text_blob="text@1",
                parser="plain",
                pages=3,
                characters=4_000,
                language="zh",
                title="年报",
                warnings=("page 2 is empty",),
            )
        case Step.CHUNK:
            return c.RecordChunked(attempt=attempt, chunks_blob="chunks@1", chunks=3, tokens=600, chunker="markdown")
        case Step.EMBED:
            return c.RecordEmbedded(attempt=attempt, model="local", dimensions=512, tokens=600)
        case Step.INDEX:
            return c.RecordIndexed(attempt=attempt, generation=1, chunks=3)
        case _:
            raise ValueError(f"{step} records nothing about a document")


def batch(number: int, first_chunk: int, last_chunk: int, *, attempt: int = 1) -> c.RecordBatchEmbedded:
    """One batch of vectors, stored under its number."""
    return c.RecordBatchEmbedded(
        attempt=attempt,
        batch=number,
        first_chunk=first_chunk,
        last_chunk=last_chunk,
        vectors_blob=f"vectors/{number}@1",
    )


def failure(step: Step, attempt: int = 1, *, retry_at_us: int | None = RETRY_AT_US) -> c.FailStep:
    """A worker reports that an attempt came to nothing."""
    if retry_at_us is None:
        return c.FailStep(step=step, attempt=attempt, code="parse_failed", message="not a PDF")
    return c.FailStep(step=step, attempt=attempt, code="timeout", message="too slow", retry_at_us=retry_at_us)
