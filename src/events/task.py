"""Facts about one task: an upload (or import, or reindex) and the documents that came with it.

Fields are added at the end, as in `document`.
"""

from enum import StrEnum
from typing import Final

import msgspec

from events.ids import DocumentId, KnowledgeBaseId
from events.steps import Lane

DOCUMENTS_NAMED_MAX: Final = 1_000
"""Documents that a task names one by one: their ids take 40 kB of the 64 KiB that an event may have."""


class TaskSource(StrEnum):
    """How the documents came in, or why they are worked on again."""

    UPLOAD = "upload"
    RESUMABLE = "resumable"
    URL = "url"
    OBJECT = "object"
    TEXT = "text"
    REINDEX = "reindex"
    RETRY = "retry"
    REPROCESS = "reprocess"


class TaskSubmitted(msgspec.Struct, frozen=True, array_like=True):
    """A client's request was accepted; `document_id(task, 0..documents-1)` are its documents.

    A task that works on documents again names them in `document_ids`: they came in with other tasks. `request_sha256`
    is over what the client sent: the same idempotency key with another request is refused by it.
    """

    knowledge_base_id: KnowledgeBaseId
    documents: int
    lane: Lane = Lane.INTERACTIVE
    source: TaskSource = TaskSource.UPLOAD
    callback_url: str | None = None
    not_before_us: int | None = None
    idempotency_key_sha256: str | None = None
    request_sha256: str | None = None
    document_ids: tuple[DocumentId, ...] = ()


class TaskCancelled(msgspec.Struct, frozen=True, array_like=True):
    """Nobody wants the remaining documents any more."""

    reason: str = ""


class TaskFinished(msgspec.Struct, frozen=True, array_like=True):
    """Every document has ended; appended once."""

    succeeded: int
    failed: int
    cancelled: int
    skipped: int


class CallbackDelivered(msgspec.Struct, frozen=True, array_like=True):
    """The client's endpoint took the news."""

    attempt: int
    status_code: int


class CallbackFailed(msgspec.Struct, frozen=True, array_like=True):
    """The client's endpoint did not take the news; None for `next_attempt_at_us` means that no attempt follows."""

    attempt: int
    status_code: int | None = None
    next_attempt_at_us: int | None = None


TaskEvent = TaskSubmitted | TaskCancelled | TaskFinished | CallbackDelivered | CallbackFailed
