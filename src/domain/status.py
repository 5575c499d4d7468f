"""What a client sees of a state: one form for GET, SSE, listings and replay, so that they cannot differ.

The forms of a document and of a task live in files of their own and are read from here.
"""

from domain.document_phase import DocumentPhase, document_phase
from domain.document_status import (
    DocumentCounts,
    DocumentError,
    DocumentStatus,
    StageStatus,
    Wait,
    WaitReason,
    document_status,
)
from domain.instant import EPOCH, utc
from domain.task_status import TaskDocuments, TaskPhase, TaskStatus, task_phase, task_status

__all__ = [
    "EPOCH",
    "DocumentCounts",
    "DocumentError",
    "DocumentPhase",
    "DocumentStatus",
    "StageStatus",
    "TaskDocuments",
    "TaskPhase",
    "TaskStatus",
    "Wait",
    "WaitReason",
    "document_phase",
    "document_status",
    "task_phase",
    "task_status",
    "utc",
]
