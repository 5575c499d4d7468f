"""A document's status in one word."""

from enum import StrEnum
from typing import Final, assert_never

from domain.counts import DocumentCategory, category_of
from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Parsed,
    Removed,
    Requested,
    Skipped,
    Unknown,
    awaited_step,
)
from events.steps import Step


class DocumentPhase(StrEnum):
    """What a document is at, or how it ended."""

    QUEUED = "queued"
    FETCHING = "fetching"
    PARSING = "parsing"
    CHUNKING = "chunking"
    EMBEDDING = "embedding"
    INDEXING = "indexing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    DELETED = "deleted"


_PHASE_OF_STEP: Final = {
    Step.FETCH: DocumentPhase.FETCHING,
    Step.PARSE: DocumentPhase.PARSING,
    Step.CHUNK: DocumentPhase.CHUNKING,
    Step.EMBED: DocumentPhase.EMBEDDING,
    Step.INDEX: DocumentPhase.INDEXING,
}


def document_phase(state: DocumentState) -> DocumentPhase:
    """Queued until a worker first begins at it; from then on an open document shows the step that it is at."""
    match state:
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded():
            if category_of(state) is DocumentCategory.QUEUED:
                return DocumentPhase.QUEUED
            step = awaited_step(state)
            return DocumentPhase.QUEUED if step is None else _PHASE_OF_STEP[step]
        case Indexed():
            return DocumentPhase.COMPLETED
        case Failed():
            return DocumentPhase.FAILED
        case Cancelled():
            return DocumentPhase.CANCELLED
        case Skipped():
            return DocumentPhase.SKIPPED
        case Removed() | Erased() | Unknown():
            return DocumentPhase.DELETED
        case _:
            assert_never(state)
