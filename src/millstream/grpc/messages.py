"""Statuses as messages: what HTTP shows of tasks and documents, in the words of the proto."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from domain.status import DocumentError, DocumentPhase, DocumentStatus, TaskPhase, TaskStatus
from ingest.accepted import AcceptedTask
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
    )


def submitted_of(accepted: AcceptedTask) -> pb.SubmitTaskResponse:
    """What an upload is answered with."""
    return pb.SubmitTaskResponse(
        task_id=accepted.task_id,
        phase=task_phase(accepted.status),
        message=accepted.message,
        documents=[
            pb.SubmittedDocument(
                document_id=line.document_id,
                filename=line.filename,
                phase=document_phase(line.status),
                duplicate_of=line.duplicate_of or "",
                replaces=line.replaces or "",
            )
            for line in accepted.documents
        ],
    )


def task_phase(phase: TaskPhase) -> str:
    """The name of the proto's value."""
    return f"TASK_PHASE_{phase.value.upper()}"


def document_phase(phase: DocumentPhase) -> str:
    """The name of the proto's value."""
    return f"DOCUMENT_PHASE_{phase.value.upper()}"


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
