"""From a document's state and an event to its next state."""

from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from domain.document import (
    STEPS_IN_ORDER,
    About,
    Accepted,
    Activity,
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
    Stage,
    Unknown,
    Waiting,
    awaited_step,
)
from domain.editing import with_change, with_edit
from domain.errors import ImpossibleEvent
from domain.fetching import after_fetch, after_request
from domain.results import Batch, ChunkFacts, TextFacts, VectorFacts
from events import document as facts
from events.envelope import Event
from events.steps import Step


def evolve(state: DocumentState, event: Event, at_us: int) -> DocumentState:  # noqa: C901  one arm an event type
    """Raises ImpossibleEvent for an event that cannot follow."""
    match state, event:
        case Unknown(), facts.DocumentAccepted():
            return _accepted(event, at_us)
        case Unknown(), facts.DocumentRequested():
            return after_request(event, at_us)
        case Requested(), facts.DocumentFetched():
            return after_fetch(_finished(state.record, Step.FETCH, at_us), event, at_us)
        case ((Unknown() | Requested()), facts.DocumentSkipped()):
            return _skipped(state, event, at_us)
        case ((Requested() | Accepted() | Parsed() | Chunked() | Embedded()), facts.StepStarted()) if (
            event.step == awaited_step(state)
        ):
            running = Running(event.step, event.attempt, event.worker, at_us)
            return replace(state, record=_started(state.record, event, at_us), activity=running)
        case ((Requested() | Accepted() | Parsed() | Chunked() | Embedded()), facts.StepFailed()) if (
            event.step == awaited_step(state)
        ):
            return replace(state, activity=Waiting(event.step, event.code, event.message, event.retry_at_us))
        case ((Requested() | Accepted() | Parsed() | Chunked() | Embedded()), facts.DocumentFailed()):
            return Failed(
                reached=_at_rest(state, at_us),
                step=event.step,
                code=event.code,
                message=event.message,
                ended_at_us=at_us,
            )
        case ((Requested() | Accepted() | Parsed() | Chunked() | Embedded()), facts.DocumentCancelled()):
            return Cancelled(reached=_at_rest(state, at_us), reason=event.reason, ended_at_us=at_us)
        case Accepted(), facts.DocumentParsed():
            return _parsed(state, event, at_us)
        case Parsed(), facts.DocumentChunked():
            return _chunked(state, event, at_us)
        case Chunked(), facts.ChunksEmbedded() if event.first_chunk == state.chunks_embedded:
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
        case Chunked(), facts.DocumentEmbedded():
            return _embedded(state, event, at_us)
        case Embedded(), facts.DocumentIndexed():
            return _indexed(state, event, at_us)
        case Indexed(), facts.DocumentIndexed():
            return replace(state, record=_serving(state.record, event), generation=event.generation)
        case Indexed(), facts.ChunkEdited():
            return replace(state, record=with_edit(state.record, event))
        case ((Requested() | Accepted() | Parsed() | Chunked() | Embedded() | Indexed()), facts.DocumentChanged()):
            return replace(state, record=with_change(state.record, event))
        case ((Failed() | Cancelled()), facts.DocumentChanged()):
            reached = replace(state.reached, record=with_change(state.reached.record, event))
            return replace(state, reached=reached)
        case ((Indexed() | Failed() | Cancelled()), facts.ReprocessingRequested()):
            return _reprocessed(state, event, at_us)
        case (
            (Requested() | Accepted() | Parsed() | Chunked() | Embedded())
            | (Indexed() | Failed() | Cancelled() | Skipped()),
            facts.DocumentRemoved(),
        ):
            return Removed(before=_before_removal(state, at_us), removed_at_us=at_us)
        case Removed(), facts.DocumentErased():
            return Erased(
                before=state.before,
                rows_left=event.rows_left,
                blobs_left=event.blobs_left,
                erased_at_us=at_us,
            )
        case _:
            raise ImpossibleEvent(f"{type(event).__name__} cannot follow {type(state).__name__}")


def reached_before(reached: Reached, step: Step, activity: Activity) -> Open | None:
    """The state from which `step` starts, with what was known by then; None where the document never got so far."""
    record = reached.record
    match step:
        case Step.FETCH if isinstance(reached, Requested):
            return replace(reached, activity=activity)
        case Step.PARSE if not isinstance(reached, Requested):
            return Accepted(record=record, activity=activity)
        case Step.CHUNK if not isinstance(reached, Requested | Accepted):
            return Parsed(record=record, text=reached.text, activity=activity)
        case Step.EMBED if isinstance(reached, Chunked):
            return replace(reached, activity=activity)
        case Step.EMBED if isinstance(reached, Embedded | Indexed):
            return Chunked(record=record, text=reached.text, chunks=reached.chunks, activity=activity)
        case Step.INDEX if isinstance(reached, Embedded | Indexed):
            return Embedded(
                record=record,
                text=reached.text,
                chunks=reached.chunks,
                batches=reached.batches,
                vectors=reached.vectors,
                activity=activity,
            )
        case _:
            return None


def _accepted(event: facts.DocumentAccepted, at_us: int) -> Accepted:
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


def _skipped(state: Unknown | Requested, event: facts.DocumentSkipped, at_us: int) -> Skipped:
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


def _parsed(state: Accepted, event: facts.DocumentParsed, at_us: int) -> Parsed:
    text = TextFacts(
        text_blob=event.text_blob,
        parser=event.parser,
        pages=event.pages,
        characters=event.characters,
        language=event.language,
        title=event.title,
        warnings=event.warnings,
    )
    return Parsed(record=_finished(state.record, Step.PARSE, at_us), text=text, activity=Queued(at_us))


def _chunked(state: Parsed, event: facts.DocumentChunked, at_us: int) -> Chunked:
    chunks = ChunkFacts(
        chunks_blob=event.chunks_blob,
        chunks=event.chunks,
        tokens=event.tokens,
        chunker=event.chunker,
        generation=event.generation,
    )
    record = _finished(state.record, Step.CHUNK, at_us)
    return Chunked(record=record, text=state.text, chunks=chunks, activity=Queued(at_us))


def _embedded(state: Chunked, event: facts.DocumentEmbedded, at_us: int) -> Embedded:
    return Embedded(
        record=_finished(state.record, Step.EMBED, at_us),
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


def _indexed(state: Embedded, event: facts.DocumentIndexed, at_us: int) -> Indexed:
    record = _finished(state.record, Step.INDEX, at_us)
    return Indexed(
        record=_serving(record, event),
        text=state.text,
        chunks=state.chunks,
        batches=state.batches,
        vectors=state.vectors,
        generation=event.generation,
        ended_at_us=at_us,
    )


def _reprocessed(state: Indexed | Failed | Cancelled, event: facts.ReprocessingRequested, at_us: int) -> DocumentState:
    reached: Reached = state if isinstance(state, Indexed) else state.reached
    rewound = reached_before(reached, event.from_step, Queued(at_us))
    if rewound is None:
        raise ImpossibleEvent(f"a document at {type(reached).__name__} cannot begin again at {event.from_step}")
    record = rewound.record
    about = replace(record.about, task_id=event.task_id)
    record = replace(
        record,
        about=about,
        earlier_tasks=(*record.earlier_tasks, record.about.task_id),
        stages=_forgiven(record.stages, event.from_step),
        chunking=record.chunking if event.chunking is UNSET else event.chunking,
    )
    return replace(rewound, record=record)


def _forgiven(stages: tuple[Stage, ...], from_step: Step) -> tuple[Stage, ...]:
    first = STEPS_IN_ORDER.index(from_step)
    return tuple(
        replace(stage, forgiven=stage.attempts, finished_at_us=None)
        if STEPS_IN_ORDER.index(stage.step) >= first
        else stage
        for stage in stages
    )


def _started(record: Record, event: facts.StepStarted, at_us: int) -> Record:
    known = next((stage for stage in record.stages if stage.step == event.step), None)
    forgiven = known.forgiven if known else 0
    is_first = known is None or known.attempts == forgiven
    started_at_us = at_us if known is None or is_first else known.started_at_us
    return _with_stage(record, Stage(event.step, event.attempt, started_at_us, None, forgiven))


def _finished(record: Record, step: Step, at_us: int) -> Record:
    known = next((stage for stage in record.stages if stage.step == step), None)
    stage = known or Stage(step, 0, at_us)
    return _with_stage(record, replace(stage, finished_at_us=at_us))


def _with_stage(record: Record, stage: Stage) -> Record:
    others = [known for known in record.stages if known.step != stage.step]
    stages = sorted([*others, stage], key=lambda one: STEPS_IN_ORDER.index(one.step))
    return replace(record, stages=tuple(stages))


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
