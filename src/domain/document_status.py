"""What a client sees of a document."""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

import msgspec

from domain.counts import PROGRESS_WHOLE, progress_of
from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Known,
    Open,
    Parsed,
    Queued,
    Removed,
    Requested,
    Running,
    Skipped,
    Unknown,
    Waiting,
    record_of,
)
from domain.document_phase import DocumentPhase, document_phase
from domain.instant import utc
from domain.origin import Origin
from events.chunking import ChunkingSettings
from events.document import Metadata
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.steps import Step


class StageStatus(msgspec.Struct, frozen=True):
    """One step of one document. `attempts` counts every time that it was begun."""

    step: Step
    attempts: int
    started_at: datetime
    finished_at: datetime | None


class DocumentCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the document so far, and what its vectors cost: calls of the model, tokens sent (of which
    `tokens_by_provider` were counted by the provider; the rest is estimated), and chunks whose vectors were there
    already."""

    pages: int = 0
    characters: int = 0
    chunks: int = 0
    chunks_embedded: int = 0
    tokens: int = 0
    embedding_calls: int = 0
    tokens_sent: int = 0
    chunks_reused: int = 0
    tokens_by_provider: int = 0


class DocumentError(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last attempt failed; `retry_at` is None once no further attempt follows by itself."""

    code: str
    message: str
    step: Step
    retry_at: datetime | None = None


class WaitReason(StrEnum):
    """What an open document waits for."""

    FREE_WORKER = "free_worker"
    NOT_BEFORE = "not_before"
    NEXT_ATTEMPT = "next_attempt"


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Every wait is visible: what for, since when, until when (where that is known)."""

    reason: WaitReason
    since: datetime | None = None
    until: datetime | None = None


class DocumentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One document. `progress` is 0 to 1; `searchable`: searches find it now, whatever is being done to it.

    What is fetched from elsewhere names its `origin`, and has no type, size and digest until it is here.
    `index_generation` is the one that it was made for last; `enabled` False: no search finds it. `chunks_edited` counts
    the chunks that persons changed; those of them that are no more, since the document was cut anew, are `edits_lost`.
    `chunking` is how it is cut, null where that is as its knowledge base says.
    `duplicate_of` had the same bytes when this one came in; `replaces` too, and is removed once this is searchable.
    """

    document_id: DocumentId
    task_id: TaskId
    knowledge_base_id: KnowledgeBaseId
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    status: DocumentPhase
    progress: float
    searchable: bool
    stages: tuple[StageStatus, ...]
    counts: DocumentCounts
    error: DocumentError | None
    waiting: Wait | None
    duplicate_of: DocumentId | None
    replaces: DocumentId | None
    title: str | None
    language: str | None
    warnings: tuple[str, ...]
    metadata: Metadata
    enabled: bool = True
    index_generation: int | None = None
    chunks_edited: int = 0
    edits_lost: tuple[str, ...] = ()
    chunking: ChunkingSettings | None = None
    origin: Origin | None
    accepted_at: datetime
    updated_at: datetime
    version: int


def document_status(
    document_id: DocumentId, state: DocumentState, *, version: int, updated_at_us: int
) -> DocumentStatus | None:
    """None for a document that does not exist."""
    match state:
        case Unknown():
            return None
        case Removed() | Erased():
            before = document_status(document_id, state.before, version=version, updated_at_us=updated_at_us)
            if before is None:
                return None
            return msgspec.structs.replace(
                before, status=DocumentPhase.DELETED, searchable=False, waiting=None, error=None
            )
        case _:
            return _known(document_id, state, version, updated_at_us)


def _known(document_id: DocumentId, state: Known, version: int, updated_at_us: int) -> DocumentStatus:
    if isinstance(state, Skipped):
        return _skipped(document_id, state, version, updated_at_us)
    record = record_of(state)
    about = record.about
    reached = state.reached if isinstance(state, Failed | Cancelled) else state
    text = None if isinstance(reached, Requested | Accepted) else reached.text
    return DocumentStatus(
        document_id=document_id,
        task_id=about.task_id,
        knowledge_base_id=about.knowledge_base_id,
        filename=about.filename,
        media_type=about.media_type,
        size_bytes=about.size_bytes,
        sha256=about.sha256,
        status=document_phase(state),
        progress=progress_of(state) / PROGRESS_WHOLE,
        searchable=record.serving is not None and record.enabled,
        stages=tuple(
            StageStatus(
                stage.step,
                stage.attempts,
                utc(stage.started_at_us),
                None if stage.finished_at_us is None else utc(stage.finished_at_us),
            )
            for stage in record.stages
        ),
        counts=_counts(reached),
        error=_error(state),
        waiting=_waiting(state),
        duplicate_of=None,
        replaces=about.replaces,
        title=text.title if text else None,
        language=text.language if text else None,
        warnings=text.warnings if text else (),
        metadata=about.metadata,
        enabled=record.enabled,
        index_generation=None if record.serving is None else record.serving.generation,
        chunks_edited=len(record.edits),
        edits_lost=record.edits_lost,
        chunking=record.chunking,
        origin=about.origin,
        accepted_at=utc(about.accepted_at_us),
        updated_at=utc(updated_at_us),
        version=version,
    )


def _skipped(document_id: DocumentId, state: Skipped, version: int, updated_at_us: int) -> DocumentStatus:
    return DocumentStatus(
        document_id=document_id,
        task_id=state.task_id,
        knowledge_base_id=state.knowledge_base_id,
        filename=state.filename,
        media_type=state.media_type,
        size_bytes=state.size_bytes,
        sha256=state.sha256,
        status=DocumentPhase.SKIPPED,
        progress=1.0,
        searchable=False,
        stages=(),
        counts=DocumentCounts(),
        error=None,
        waiting=None,
        duplicate_of=state.duplicate_of,
        replaces=None,
        title=None,
        language=None,
        warnings=(),
        metadata={},
        enabled=True,
        chunks_edited=0,
        edits_lost=(),
        origin=None,
        accepted_at=utc(state.accepted_at_us),
        updated_at=utc(updated_at_us),
        version=version,
    )


def _counts(reached: Open | Indexed) -> DocumentCounts:
    match reached:
        case Requested() | Accepted():
            return DocumentCounts()
        case Parsed():
            return DocumentCounts(pages=reached.text.pages, characters=reached.text.characters)
        case Chunked() | Embedded() | Indexed():
            return DocumentCounts(
                pages=reached.text.pages,
                characters=reached.text.characters,
                chunks=reached.chunks.chunks,
                chunks_embedded=reached.chunks_embedded if isinstance(reached, Chunked) else reached.chunks.chunks,
                tokens=reached.chunks.tokens,
                embedding_calls=sum(batch.calls for batch in reached.batches),
                tokens_sent=sum(batch.tokens_sent for batch in reached.batches),
                chunks_reused=sum(batch.chunks_reused for batch in reached.batches),
                tokens_by_provider=sum(batch.tokens_by_provider for batch in reached.batches),
            )
        case _:
            assert_never(reached)


def _error(state: Known) -> DocumentError | None:
    match state:
        case Failed():
            return DocumentError(code=state.code, message=state.message, step=state.step)
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded() if isinstance(state.activity, Waiting):
            wait = state.activity
            return DocumentError(code=wait.code, message=wait.message, step=wait.step, retry_at=utc(wait.retry_at_us))
        case _:
            return None


def _waiting(state: Known) -> Wait | None:
    if not isinstance(state, Open):
        return None
    match state.activity:
        case Running():
            return None
        case Waiting(retry_at_us=retry_at_us):
            return Wait(reason=WaitReason.NEXT_ATTEMPT, until=utc(retry_at_us))
        case Queued(since_us=since_us, not_before_us=not_before_us):
            if not_before_us is None:
                return Wait(reason=WaitReason.FREE_WORKER, since=utc(since_us))
            return Wait(reason=WaitReason.NOT_BEFORE, since=utc(since_us), until=utc(not_before_us))
        case _:
            assert_never(state.activity)
