"""What a subscription may ask for: names of facts as receivers know them. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from events.document import (
    DocumentAccepted,
    DocumentCancelled,
    DocumentFailed,
    DocumentIndexed,
    DocumentRemoved,
    DocumentRequested,
    DocumentSkipped,
)
from events.envelope import Event
from events.knowledge_base import KnowledgeBaseChanged, KnowledgeBaseCreated, KnowledgeBaseDeleted
from events.task import TaskCancelled, TaskFinished, TaskSubmitted


class EventName(StrEnum):
    """The `type` of a message. Facts of single steps, and those about webhooks themselves, have none."""

    TASK_SUBMITTED = "task.submitted"
    TASK_CANCELLED = "task.cancelled"
    TASK_FINISHED = "task.finished"
    DOCUMENT_ACCEPTED = "document.accepted"
    DOCUMENT_COMPLETED = "document.completed"
    DOCUMENT_FAILED = "document.failed"
    DOCUMENT_SKIPPED = "document.skipped"
    DOCUMENT_CANCELLED = "document.cancelled"
    DOCUMENT_REMOVED = "document.removed"
    KNOWLEDGE_BASE_CREATED = "knowledge_base.created"
    KNOWLEDGE_BASE_CHANGED = "knowledge_base.changed"
    KNOWLEDGE_BASE_DELETED = "knowledge_base.deleted"


TEST: Final = "webhook.test"
"""What a person sends to see whether it arrives; nobody can subscribe to it."""

_NAMES: Final[Mapping[type, EventName]] = {
    TaskSubmitted: EventName.TASK_SUBMITTED,
    TaskCancelled: EventName.TASK_CANCELLED,
    TaskFinished: EventName.TASK_FINISHED,
    DocumentAccepted: EventName.DOCUMENT_ACCEPTED,
    DocumentRequested: EventName.DOCUMENT_ACCEPTED,
    DocumentIndexed: EventName.DOCUMENT_COMPLETED,
    DocumentFailed: EventName.DOCUMENT_FAILED,
    DocumentSkipped: EventName.DOCUMENT_SKIPPED,
    DocumentCancelled: EventName.DOCUMENT_CANCELLED,
    DocumentRemoved: EventName.DOCUMENT_REMOVED,
    KnowledgeBaseCreated: EventName.KNOWLEDGE_BASE_CREATED,
    KnowledgeBaseChanged: EventName.KNOWLEDGE_BASE_CHANGED,
    KnowledgeBaseDeleted: EventName.KNOWLEDGE_BASE_DELETED,
}


def name_of(event: Event) -> EventName | None:
    """None for a fact that nobody is told of."""
    return _NAMES.get(type(event))
