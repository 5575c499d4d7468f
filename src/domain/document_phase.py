"""A document's status in one word."""

from enum import StrEnum
from typing import Final

from domain.counts import DocumentCategory, category_of
from domain.document import (
    NEXT_STEP,
    Cancelled,
    DocumentState,
    Erased,
    Failed,
    Indexed,
    Removed,
    Skipped,
    Unknown,
    is_open,
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


_PHASE_OF_ENDED: Final[dict[type[DocumentState], DocumentPhase]] = {
    Indexed: DocumentPhase.COMPLETED,
    Failed: DocumentPhase.FAILED,
    Cancelled: DocumentPhase.CANCELLED,
    Skipped: DocumentPhase.SKIPPED,
    Removed: DocumentPhase.DELETED,
    Erased: DocumentPhase.DELETED,
    Unknown: DocumentPhase.DELETED,
}


def document_phase(state: DocumentState) -> DocumentPhase:
    """Queued until a worker first begins at it; from then on an open document shows the step that it is at."""
    if not is_open(state):
        return _PHASE_OF_ENDED[type(state)]
    if category_of(state) is DocumentCategory.QUEUED:
        return DocumentPhase.QUEUED
    return _PHASE_OF_STEP[NEXT_STEP[type(state)]]
