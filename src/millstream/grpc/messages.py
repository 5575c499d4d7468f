"""Statuses as messages: what HTTP shows of tasks and documents, in the words of the proto."""

from datetime import datetime

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import UNSET, UnsetType

from domain.document_status import DocumentCounts, StageStatus
from domain.origin import Origin
from domain.status import DocumentError, DocumentPhase, DocumentStatus, TaskPhase, TaskStatus, Wait, WaitReason
from domain.usage import Usage
from events.chunking import ChunkingSettings
from events.document import Metadata
from events.steps import Lane
from events.task import TaskSource
from ingest.accepted import AcceptedTask, DocumentLine
from millstream.grpc.v1 import tasks_pb2 as pb


def task_of(status: TaskStatus) -> pb.Task:
    """A task as GET shows it."""
    counts = status.documents
    return pb.Task(
        task_id=status.task_id,
        knowledge_base_id=status.knowledge_base_id,
        phase=task_phase(status.status),
        progress=status.progress,
        documents=pb.DocumentCounts(
            total=counts.total,
            queued=counts.queued,
            processing=counts.processing,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
            skipped=counts.skipped,
        ),
        submitted_at=_timestamp(status.submitted_at),
        started_at=_timestamp(status.started_at),
        finished_at=_timestamp(status.finished_at),
        cancelled_at=_timestamp(status.cancelled_at),
        updated_at=_timestamp(status.updated_at),
        version=status.version,
        filename=status.filename or "",
        source=task_source(status.source),
        lane=task_lane(status.lane),
        usage=_usage_of(status.usage),
        links=status.links,
    )


def document_of(status: DocumentStatus) -> pb.Document:
    """A document as GET shows it."""
    counts = status.counts
    return pb.Document(
        document_id=status.document_id,
        task_id=status.task_id,
        knowledge_base_id=status.knowledge_base_id,
        filename=status.filename,
        media_type=status.media_type,
        size_bytes=status.size_bytes,
        sha256=status.sha256,
        phase=document_phase(status.status),
        progress=status.progress,
        searchable=status.searchable,
        error=_error_of(status.error),
        duplicate_of=status.duplicate_of or "",
        replaces=status.replaces or "",
        pages=counts.pages,
        characters=counts.characters,
        chunks=counts.chunks,
        chunks_embedded=counts.chunks_embedded,
        accepted_at=_timestamp(status.accepted_at),
        updated_at=_timestamp(status.updated_at),
        version=status.version,
        title=status.title or "",
        language=status.language or "",
        warnings=status.warnings,
        metadata=_struct(status.metadata),
        enabled=status.enabled,
        waiting=_wait_of(status.waiting),
        stages=map(_stage_of, status.stages),
        tokens=counts.tokens,
        usage=_usage_of(counts),
        index_generation=status.index_generation,
        chunks_edited=status.chunks_edited,
        edits_lost=status.edits_lost,
        chunking=chunking_of(status.chunking),
        origin=_origin_of(status.origin),
    )


def chunking_of(chunking: ChunkingSettings | None) -> pb.Chunking | None:
    """How a document is cut; None where that is as its knowledge base says."""
    if chunking is None:
        return None
    return pb.Chunking(
        chunker=chunking.chunker.value,
        chunk_tokens=chunking.chunk_tokens,
        chunk_overlap_tokens=chunking.chunk_overlap_tokens,
        chunk_parent_tokens=_set(chunking.chunk_parent_tokens),
        chunk_window_sentences=_set(chunking.chunk_window_sentences),
        chunk_breakpoint_percentile=_set(chunking.chunk_breakpoint_percentile),
    )


def submitted_of(accepted: AcceptedTask) -> pb.SubmitTaskResponse:
    """What an upload is answered with."""
    return pb.SubmitTaskResponse(
        task_id=accepted.task_id,
        phase=task_phase(accepted.status),
        message=accepted.message,
        documents=map(_line_of, accepted.documents),
    )


def cancelled_of(accepted: AcceptedTask) -> pb.CancelTaskResponse:
    """What a cancellation is answered with."""
    return pb.CancelTaskResponse(
        task_id=accepted.task_id,
        phase=task_phase(accepted.status),
        message=accepted.message,
        documents=map(_line_of, accepted.documents),
    )


def task_source(source: TaskSource) -> str:
    """The name of the proto's value."""
    return f"TASK_SOURCE_{source.value.upper()}"


def task_lane(lane: Lane) -> str:
    """The name of the proto's value."""
    return f"LANE_{lane.value.upper()}"


def wait_reason(reason: WaitReason) -> str:
    """The name of the proto's value."""
    return f"WAIT_REASON_{reason.value.upper()}"


def task_phase(phase: TaskPhase) -> str:
    """The name of the proto's value."""
    return f"TASK_PHASE_{phase.value.upper()}"


def document_phase(phase: DocumentPhase) -> str:
    """The name of the proto's value."""
    return f"DOCUMENT_PHASE_{phase.value.upper()}"


def _line_of(line: DocumentLine) -> pb.SubmittedDocument:
    return pb.SubmittedDocument(
        document_id=line.document_id,
        filename=line.filename,
        phase=document_phase(line.status),
        duplicate_of=line.duplicate_of or "",
        replaces=line.replaces or "",
    )


def _usage_of(counted: Usage | DocumentCounts) -> pb.Usage:
    return pb.Usage(
        embedding_calls=counted.embedding_calls,
        tokens_sent=counted.tokens_sent,
        tokens_by_provider=counted.tokens_by_provider,
        chunks_reused=counted.chunks_reused,
    )


def _stage_of(stage: StageStatus) -> pb.StageStatus:
    return pb.StageStatus(
        step=stage.step.value,
        attempts=stage.attempts,
        started_at=_timestamp(stage.started_at),
        finished_at=_timestamp(stage.finished_at),
    )


def _set(number: int | UnsetType) -> int | None:
    return None if number is UNSET else number


def _origin_of(origin: Origin | None) -> pb.Origin | None:
    return None if origin is None else pb.Origin(url=origin.url, object_key=origin.object_key)


def _wait_of(wait: Wait | None) -> pb.Wait | None:
    if wait is None:
        return None
    return pb.Wait(reason=wait_reason(wait.reason), since=_timestamp(wait.since), until=_timestamp(wait.until))


def _struct(metadata: Metadata) -> Struct | None:
    if not metadata:
        return None
    found = Struct()
    found.update(metadata)
    return found


def _error_of(error: DocumentError | None) -> pb.StepError | None:
    if error is None:
        return None
    return pb.StepError(
        code=error.code, message=error.message, step=error.step.value, retry_at=_timestamp(error.retry_at)
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
