"""Every type of event, and the number that stands for its name on the wire."""

from typing import Final, get_args

from events.document import DocumentEvent
from events.envelope import Fact
from events.knowledge_base import KnowledgeBaseEvent
from events.task import TaskEvent

EVENT_TYPES: Final[dict[str, type[Fact]]] = {
    fact.__name__: fact for union in (DocumentEvent, TaskEvent, KnowledgeBaseEvent) for fact in get_args(union)
}

TYPE_CODES: Final[dict[str, int]] = {
    "DocumentAccepted": 1,
    "DocumentRequested": 2,
    "DocumentFetched": 3,
    "DocumentSkipped": 4,
    "StepStarted": 5,
    "DocumentParsed": 6,
    "DocumentChunked": 7,
    "ChunksEmbedded": 8,
    "DocumentEmbedded": 9,
    "DocumentIndexed": 10,
    "StepFailed": 11,
    "DocumentFailed": 12,
    "ReprocessingRequested": 13,
    "ChunkEdited": 14,
    "DocumentChanged": 15,
    "DocumentCancelled": 16,
    "DocumentRemoved": 17,
    "DocumentErased": 18,
    "TaskSubmitted": 19,
    "TaskCancelled": 20,
    "TaskFinished": 21,
    "CallbackDelivered": 22,
    "CallbackFailed": 23,
    "KnowledgeBaseCreated": 24,
    "KnowledgeBaseChanged": 25,
    "IndexGenerationStarted": 26,
    "IndexGenerationActivated": 27,
    "IndexGenerationAbandoned": 28,
    "KnowledgeBaseDeleted": 29,
}
"""1 to n without a gap, at most 127: one byte. Logs and archives outlive a release: add at the end, change none."""

TYPES_BY_CODE: Final[dict[int, str]] = {code: name for name, code in TYPE_CODES.items()}
"""The names by their numbers."""


def name_of(code: int) -> str:
    """What a type is called; of one that only a newer program knows, its number is all there is."""
    return TYPES_BY_CODE.get(code) or f"type_{code}"
