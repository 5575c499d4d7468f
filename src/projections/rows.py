"""The kinds of rows and their bytes, chosen by the table they stand in."""

from domain.document_status import DocumentStatus
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.task_status import TaskStatus
from events.ids import DocumentId, KnowledgeBaseId, StreamKind, TaskId
from projections import documents, knowledge_bases, tasks, throughput
from projections.documents import DocumentProjection, DocumentRow
from projections.knowledge_bases import KnowledgeBaseProjection, KnowledgeBaseRow
from projections.projection import IndexEntry, RowKey, Table
from projections.tasks import TaskProjection, TaskRow
from projections.throughput import ThroughputRow

DOCUMENT_PROJECTION = DocumentProjection()
TASK_PROJECTION = TaskProjection()
KNOWLEDGE_BASE_PROJECTION = KnowledgeBaseProjection()

Row = DocumentRow | TaskRow | KnowledgeBaseRow | ThroughputRow
Status = DocumentStatus | TaskStatus | KnowledgeBaseStatus


def encode_row(row: Row) -> bytes:
    match row:
        case DocumentRow():
            return DOCUMENT_PROJECTION.encode(row)
        case TaskRow():
            return TASK_PROJECTION.encode(row)
        case KnowledgeBaseRow():
            return KNOWLEDGE_BASE_PROJECTION.encode(row)
        case ThroughputRow():
            return throughput.encode(row)


def is_at_rest(row: Row) -> bool:
    """Whether it stays as it is, mostly for good."""
    match row:
        case DocumentRow():
            return documents.is_at_rest(row)
        case TaskRow():
            return tasks.is_at_rest(row)
        case KnowledgeBaseRow() | ThroughputRow():
            return False


def decode_row(table: Table, payload: bytes) -> Row:
    match table.kind:
        case StreamKind.DOCUMENT:
            return DOCUMENT_PROJECTION.decode(payload)
        case StreamKind.TASK:
            return TASK_PROJECTION.decode(payload)
        case StreamKind.KNOWLEDGE_BASE:
            return KNOWLEDGE_BASE_PROJECTION.decode(payload)
        case None:
            return throughput.decode(payload)


def entries_of(key: RowKey, row: Row | None) -> tuple[IndexEntry, ...]:
    """Every list that a row stands in, once; a row that is not there stands in none."""
    if row is None:
        return ()
    match row:
        case DocumentRow():
            return DOCUMENT_PROJECTION.entries(key.id, row)
        case ThroughputRow():
            return ()
        case TaskRow():
            return TASK_PROJECTION.entries(key.id, row)
        case KnowledgeBaseRow():
            return KNOWLEDGE_BASE_PROJECTION.entries(key.id, row)


def status_of(row_id: str, row: Row) -> Status | None:
    """What a client sees of a row; None for what does not exist, or no longer."""
    match row:
        case DocumentRow():
            return documents.status_of(DocumentId(row_id), row)
        case TaskRow():
            return tasks.status_of(TaskId(row_id), row)
        case KnowledgeBaseRow():
            return knowledge_bases.status_of(KnowledgeBaseId(row_id), row)
        case ThroughputRow():
            return None
