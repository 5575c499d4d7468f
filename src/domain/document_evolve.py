"""From a document's state and an event to its next state."""

from collections.abc import Callable
from typing import Any, Final, assert_never

from msgspec.structs import replace

from domain.document import (
    STEPS_IN_ORDER,
    About,
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
    Reached,
    Record,
    Removed,
    Requested,
    Running,
    Serving,
    Skipped,
    Unknown,
    Waiting,
    is_open,
)
from domain.document_rewind import reprocessed
from domain.document_stages import awaits, finished, started
from domain.editing import with_change, with_edit
from domain.errors import ImpossibleEvent
from domain.fetching import after_fetch, after_request
from domain.results import Batch, ChunkFacts, TextFacts, VectorFacts
from events import document as facts
from events.envelope import Event

_FETCH, _PARSE, _CHUNK, _EMBED, _INDEX = STEPS_IN_ORDER
"""A member asked of its class costs 90 ns, a tenth of a fact."""


def evolve(state: DocumentState, event: Event, at_us: int) -> DocumentState:
    """Raises ImpossibleEvent for an event that cannot follow."""
    after = _AFTER.get(type(event), _never)(state, event, at_us)
    if after is None:
        raise ImpossibleEvent(f"{type(event).__name__} cannot follow {type(state).__name__}")
    return after


def _never(_state: DocumentState, _event: Event, _at_us: int) -> None:
    return None


def _accepted(state: DocumentState, event: facts.DocumentAccepted, at_us: int) -> Accepted | None:
    if not isinstance(state, Unknown):
        return None
    about = About(
        knowledge_base_id=event.knowledge_base_id,
        task_id=event.task_id,
        filename=event.filename,
        media_type=event.media_type,
        size_bytes=event.size_bytes,
        sha256=event.sha256,
        source_blob=event.source_blob,
        accepted_at_us=at_us,
        declared_media_type=event.declared_media_type,
        metadata=event.metadata,
        lane=event.lane,
        replaces=event.replaces,
    )
    return Accepted(record=Record(about=about), activity=Queued(at_us, event.not_before_us))


def _requested(state: DocumentState, event: facts.DocumentRequested, at_us: int) -> Requested | None:
    return after_request(event, at_us) if isinstance(state, Unknown) else None


def _fetched(state: DocumentState, event: facts.DocumentFetched, at_us: int) -> Accepted | None:
    if not isinstance(state, Requested):
        return None
    return after_fetch(finished(state.record, _FETCH, at_us), event, at_us)


def _skipped(state: DocumentState, event: facts.DocumentSkipped, at_us: int) -> Skipped | None:
    if not isinstance(state, Unknown | Requested):
        return None
    record = state.record if isinstance(state, Requested) else None
    return Skipped(
        knowledge_base_id=event.knowledge_base_id,
        task_id=event.task_id,
        filename=event.filename,
        media_type=event.media_type,
        size_bytes=event.size_bytes,
        sha256=event.sha256,
        duplicate_of=event.duplicate_of,
        ended_at_us=at_us,
        requested_at_us=record.about.accepted_at_us if record else None,
        earlier_tasks=record.earlier_tasks if record else (),
    )


def _step_started(state: DocumentState, event: facts.StepStarted, at_us: int) -> Open | None:
    if not awaits(state, event.step):
        return None
    running = Running(event.step, event.attempt, event.worker, at_us)
    return replace(state, record=started(state.record, event, at_us), activity=running)


def _step_failed(state: DocumentState, event: facts.StepFailed, _at_us: int) -> Open | None:
    if not awaits(state, event.step):
        return None
    return replace(state, activity=Waiting(event.step, event.code, event.message, event.retry_at_us))


def _failed(state: DocumentState, event: facts.DocumentFailed, at_us: int) -> Failed | None:
    if not is_open(state):
        return None
    return Failed(
        reached=_at_rest(state, at_us),
        step=event.step,
        code=event.code,
        message=event.message,
        ended_at_us=at_us,
    )


def _cancelled(state: DocumentState, event: facts.DocumentCancelled, at_us: int) -> Cancelled | None:
    if not is_open(state):
        return None
    return Cancelled(reached=_at_rest(state, at_us), reason=event.reason, ended_at_us=at_us)


def _parsed(state: DocumentState, event: facts.DocumentParsed, at_us: int) -> Parsed | None:
    if not isinstance(state, Accepted):
        return None
    text = TextFacts(
        text_blob=event.text_blob,
        parser=event.parser,
        pages=event.pages,
        characters=event.characters,
        language=event.language,
        title=event.title,
        warnings=event.warnings,
    )
    return Parsed(record=finished(state.record, _PARSE, at_us), text=text, activity=Queued(at_us))


def _chunked(state: DocumentState, event: facts.DocumentChunked, at_us: int) -> Chunked | None:
    if not isinstance(state, Parsed):
        return None
    chunks = ChunkFacts(
        chunks_blob=event.chunks_blob,
        chunks=event.chunks,
        tokens=event.tokens,
        chunker=event.chunker,
        generation=event.generation,
    )
    record = finished(state.record, _CHUNK, at_us)
    return Chunked(record=record, text=state.text, chunks=chunks, activity=Queued(at_us))


def _chunks_embedded(state: DocumentState, event: facts.ChunksEmbedded, _at_us: int) -> Chunked | None:
    if not isinstance(state, Chunked) or event.first_chunk != state.chunks_embedded:
        return None
    batch = Batch(
        event.first_chunk,
        event.last_chunk,
        event.vectors_blob,
        event.calls,
        event.tokens_sent,
        event.chunks_reused,
        event.tokens_by_provider,
    )
    return replace(state, batches=(*state.batches, batch))


def _embedded(state: DocumentState, event: facts.DocumentEmbedded, at_us: int) -> Embedded | None:
    if not isinstance(state, Chunked):
        return None
    return Embedded(
        record=finished(state.record, _EMBED, at_us),
        text=state.text,
        chunks=state.chunks,
        batches=state.batches,
        vectors=VectorFacts(
            model=event.model,
            dimensions=event.dimensions,
            tokens=event.tokens,
            passage_prefix=event.passage_prefix,
        ),
        activity=Queued(at_us),
    )


def _indexed(state: DocumentState, event: facts.DocumentIndexed, at_us: int) -> Indexed | None:
    """Behind the step, or of what was searchable before: into another generation."""
    if not isinstance(state, Embedded):
        if not isinstance(state, Indexed):
            return None
        return replace(state, record=_serving(state.record, event), generation=event.generation)
    record = finished(state.record, _INDEX, at_us)
    return Indexed(
        record=_serving(record, event),
        text=state.text,
        chunks=state.chunks,
        batches=state.batches,
        vectors=state.vectors,
        generation=event.generation,
        ended_at_us=at_us,
    )


def _edited(state: DocumentState, event: facts.ChunkEdited, _at_us: int) -> Indexed | None:
    return replace(state, record=with_edit(state.record, event)) if isinstance(state, Indexed) else None


def _changed(state: DocumentState, event: facts.DocumentChanged, _at_us: int) -> DocumentState | None:
    match state:
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded() | Indexed():
            return replace(state, record=with_change(state.record, event))
        case Failed() | Cancelled():
            reached = replace(state.reached, record=with_change(state.reached.record, event))
            return replace(state, reached=reached)
        case _:
            return None


def _removed(state: DocumentState, _event: facts.DocumentRemoved, at_us: int) -> Removed | None:
    if isinstance(state, Unknown | Removed | Erased):
        return None
    return Removed(before=_before_removal(state, at_us), removed_at_us=at_us)


def _erased(state: DocumentState, event: facts.DocumentErased, at_us: int) -> Erased | None:
    if not isinstance(state, Removed):
        return None
    return Erased(
        before=state.before,
        rows_left=event.rows_left,
        blobs_left=event.blobs_left,
        erased_at_us=at_us,
    )


def _serving(record: Record, event: facts.DocumentIndexed) -> Record:
    return replace(record, serving=Serving(event.generation, event.chunks), edits_lost=event.edits_lost)


def _at_rest(state: Open, at_us: int) -> Open:
    return replace(state, activity=Queued(at_us))


def _before_removal(state: Known, at_us: int) -> Reached | Failed | Cancelled | Skipped:
    match state:
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded():
            return Cancelled(reached=_at_rest(state, at_us), reason="removed", ended_at_us=at_us)
        case Indexed() | Failed() | Cancelled() | Skipped():
            return state
        case _:
            assert_never(state)


_AFTER: Final[dict[type[Event], Callable[[DocumentState, Any, int], DocumentState | None]]] = {
    facts.DocumentAccepted: _accepted,
    facts.DocumentRequested: _requested,
    facts.DocumentFetched: _fetched,
    facts.DocumentSkipped: _skipped,
    facts.StepStarted: _step_started,
    facts.StepFailed: _step_failed,
    facts.DocumentFailed: _failed,
    facts.DocumentCancelled: _cancelled,
    facts.DocumentParsed: _parsed,
    facts.DocumentChunked: _chunked,
    facts.ChunksEmbedded: _chunks_embedded,
    facts.DocumentEmbedded: _embedded,
    facts.DocumentIndexed: _indexed,
    facts.ChunkEdited: _edited,
    facts.DocumentChanged: _changed,
    facts.ReprocessingRequested: reprocessed,
    facts.DocumentRemoved: _removed,
    facts.DocumentErased: _erased,
}
"""By type of fact, what a document is after it; None where the fact cannot follow the state. One look-up: of a `match`
over states and facts a fold of a million events took most of its time."""
