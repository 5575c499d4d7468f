"""From a command and a document's state to the events that follow."""

from typing import Final, assert_never

from domain import commands as c
from domain.beginning_again import reprocess
from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Open,
    Parsed,
    Removed,
    Requested,
    Running,
    Skipped,
    Unknown,
    awaited_step,
)
from domain.document_stages import attempts_at
from domain.editing import change_document, edit_chunk
from domain.errors import RefusalCode, Refused
from domain.fetching import fetched_by, requested_by
from events import document as facts
from events.document import DocumentEvent, OnDuplicate
from events.ids import DocumentId
from events.steps import Step

Decided = tuple[DocumentEvent, ...]

NO_TEXT: Final = "no_text"
"""How a document without text fails: a success with nothing to find would look like a search that does not work."""


def decide(command: c.DocumentCommand, state: DocumentState) -> Decided:  # noqa: C901  one arm a kind of command
    """No event where the command was carried out before or nobody waits for its result; raises Refused."""
    match command:
        # First, as arms are tried in turn and these are what workers say: 0.2 µs instead of 1.
        case c.StartStep():
            return _start(command, state)
        case c.RecordParsed() | c.RecordChunked() | c.RecordBatchEmbedded() | c.RecordEmbedded() | c.RecordIndexed():
            return _record(command, state)
        case c.AcceptDocument() | c.RequestDocument() | c.SkipDocument():
            return _come_in(command, state)
        case c.RemoveDocument():
            return _remove(command, state)
        case c.RecordErased():
            return _erased(command, state)
        case c.CancelDocument():
            return _cancel(command, state)
        case c.RequestReprocessing():
            return reprocess(command, state)
        case c.ChangeDocument():
            return change_document(command, state)
        case c.EditChunk():
            return edit_chunk(command, state)
        case c.FailStep():
            return _fail(command, state)
        case c.RecordFetched():
            if isinstance(state, Requested) and _is_running(state, Step.FETCH, command.attempt):
                return (fetched_by(command, state.record.about),)
            return ()
        case _:
            assert_never(command)


def _come_in(command: c.AcceptDocument | c.RequestDocument | c.SkipDocument, state: DocumentState) -> Decided:
    if not isinstance(state, Unknown):
        return ()
    match command:
        case c.AcceptDocument(holder=holder) if holder is not None and command.on_duplicate is OnDuplicate.SKIP:
            return (_skipped(command, holder),)
        case c.AcceptDocument():
            return (
                facts.DocumentAccepted(
                    knowledge_base_id=command.knowledge_base_id,
                    task_id=command.task_id,
                    filename=command.filename,
                    media_type=command.media_type,
                    size_bytes=command.size_bytes,
                    sha256=command.sha256,
                    source_blob=command.source_blob,
                    declared_media_type=command.declared_media_type,
                    metadata=command.metadata,
                    lane=command.lane,
                    not_before_us=command.not_before_us,
                    replaces=command.holder if command.on_duplicate is OnDuplicate.REPLACE else None,
                ),
            )
        case c.RequestDocument():
            return (requested_by(command),)
        case c.SkipDocument():
            return (_skipped(command, command.duplicate_of),)
        case _:
            assert_never(command)


def _skipped(command: c.AcceptDocument | c.SkipDocument, duplicate_of: DocumentId) -> facts.DocumentSkipped:
    return facts.DocumentSkipped(
        knowledge_base_id=command.knowledge_base_id,
        task_id=command.task_id,
        filename=command.filename,
        media_type=command.media_type,
        size_bytes=command.size_bytes,
        sha256=command.sha256,
        duplicate_of=duplicate_of,
    )


def _start(command: c.StartStep, state: DocumentState) -> Decided:
    if awaited_step(state) != command.step or command.attempt != attempts_at(state, command.step) + 1:
        return ()
    return (
        facts.StepStarted(step=command.step, attempt=command.attempt, worker=command.worker, delivery=command.delivery),
    )


def _fail(command: c.FailStep, state: DocumentState) -> Decided:
    if not _is_running(state, command.step, command.attempt):
        return ()
    if command.retry_at_us is None:
        return (facts.DocumentFailed(step=command.step, code=command.code, message=command.message),)
    return (
        facts.StepFailed(
            step=command.step,
            attempt=command.attempt,
            code=command.code,
            message=command.message,
            retry_at_us=command.retry_at_us,
        ),
    )


def _record(
    command: c.RecordParsed | c.RecordChunked | c.RecordBatchEmbedded | c.RecordEmbedded | c.RecordIndexed,
    state: DocumentState,
) -> Decided:
    match command, state:
        case c.RecordParsed(), Accepted() if _is_running(state, Step.PARSE, command.attempt):
            return (_parsed(command),)
        case c.RecordChunked(), Parsed() if _is_running(state, Step.CHUNK, command.attempt):
            if command.chunks < 1:
                return (facts.DocumentFailed(step=Step.CHUNK, code=NO_TEXT, message="there is no text in it"),)
            return (_chunked(command),)
        case c.RecordBatchEmbedded(), Chunked() if _is_next_batch(command, state):
            return (_batch_embedded(command),)
        case c.RecordEmbedded(), Chunked() if _is_complete(command, state):
            return (_embedded(command, state),)
        case c.RecordIndexed(), Embedded() if _is_running(state, Step.INDEX, command.attempt):
            return (_indexed(command, state),)
        case _:
            return ()


def _parsed(command: c.RecordParsed) -> facts.DocumentParsed:
    return facts.DocumentParsed(
        text_blob=command.text_blob,
        parser=command.parser,
        pages=command.pages,
        characters=command.characters,
        language=command.language,
        title=command.title,
        warnings=command.warnings,
    )


def _chunked(command: c.RecordChunked) -> facts.DocumentChunked:
    return facts.DocumentChunked(
        chunks_blob=command.chunks_blob,
        chunks=command.chunks,
        tokens=command.tokens,
        chunker=command.chunker,
        generation=command.generation,
    )


def _batch_embedded(command: c.RecordBatchEmbedded) -> facts.ChunksEmbedded:
    return facts.ChunksEmbedded(
        batch=command.batch,
        first_chunk=command.first_chunk,
        last_chunk=command.last_chunk,
        vectors_blob=command.vectors_blob,
        calls=command.calls,
        tokens_sent=command.tokens_sent,
        chunks_reused=command.chunks_reused,
        tokens_by_provider=command.tokens_by_provider,
    )


def _embedded(command: c.RecordEmbedded, state: Chunked) -> facts.DocumentEmbedded:
    return facts.DocumentEmbedded(
        model=command.model,
        dimensions=command.dimensions,
        tokens=command.tokens,
        calls=sum(batch.calls for batch in state.batches),
        tokens_sent=sum(batch.tokens_sent for batch in state.batches),
        chunks_reused=sum(batch.chunks_reused for batch in state.batches),
        passage_prefix=command.passage_prefix,
        tokens_by_provider=sum(batch.tokens_by_provider for batch in state.batches),
    )


def _indexed(command: c.RecordIndexed, state: Embedded) -> facts.DocumentIndexed:
    return facts.DocumentIndexed(
        generation=command.generation,
        chunks=command.chunks,
        edits_lost=command.edits_lost,
        is_stale=command.changes not in {None, state.record.changes},
    )


def _is_running(state: DocumentState, step: Step, attempt: int) -> bool:
    """A result counts only for the attempt that is under way: a zombie's comes under an older number."""
    if not isinstance(state, Open):
        return False
    activity = state.activity
    return isinstance(activity, Running) and activity.step == step and activity.attempt == attempt


def _is_next_batch(command: c.RecordBatchEmbedded, state: Chunked) -> bool:
    return (
        _is_running(state, Step.EMBED, command.attempt)
        and command.batch == len(state.batches)
        and command.first_chunk == state.chunks_embedded
        and command.first_chunk <= command.last_chunk < state.chunks.chunks
    )


def _is_complete(command: c.RecordEmbedded, state: Chunked) -> bool:
    return _is_running(state, Step.EMBED, command.attempt) and state.chunks_embedded == state.chunks.chunks


def _cancel(command: c.CancelDocument, state: DocumentState) -> Decided:
    match state:
        case Unknown():
            raise _no_such_document()
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded():
            if command.task_id not in {None, state.record.about.task_id}:
                return ()
            return (facts.DocumentCancelled(reason=command.reason),)
        case Cancelled():
            return ()
        case Indexed() | Failed() | Skipped() | Removed() | Erased():
            raise Refused(RefusalCode.DOCUMENT_ENDED, "the document has ended; there is nothing to cancel")
        case _:
            assert_never(state)


def _remove(command: c.RemoveDocument, state: DocumentState) -> Decided:
    match state:
        case Unknown():
            raise _no_such_document()
        case Removed() | Erased():
            return ()
        case Failed():
            return (facts.DocumentRemoved(reason=command.reason),)
        case _:
            if command.only_failed:
                raise Refused(RefusalCode.NOT_A_DEAD_LETTER, "the document has not failed; nothing was removed")
            return (facts.DocumentRemoved(reason=command.reason),)


def _erased(command: c.RecordErased, state: DocumentState) -> Decided:
    if not isinstance(state, Removed):
        return ()
    return (facts.DocumentErased(rows_left=command.rows_left, blobs_left=command.blobs_left),)


def _no_such_document() -> Refused:
    return Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id")
