"""The body of a message: small, and the same whenever it is made of the same facts. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never

import msgspec

from domain.decider import fold
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import Unknown
from domain.instant import utc
from domain.knowledge_base import (
    ActiveKnowledgeBase,
    DeletedKnowledgeBase,
    KnowledgeBaseState,
    UnknownKnowledgeBase,
)
from domain.status import DocumentStatus, document_status
from domain.task import FinishedTask, OpenTask, UnknownTask
from events.envelope import Envelope
from events.ids import DocumentId, KnowledgeBaseId, StreamKind, TaskId, kind_of
from events.task import TaskFinished, TaskSource
from webhooks.event_names import TEST, EventName
from webhooks.subscription import WebhookId

PATH: Final = "/api/v1"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """As the specification proposes it. `timestamp` is when the fact was recorded."""

    type: str
    timestamp: datetime
    data: msgspec.Struct


class TaskCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`total` from the start, the others once the task has finished."""

    total: int
    completed: int | None = None
    failed: int | None = None
    cancelled: int | None = None
    skipped: int | None = None


class TaskNews(msgspec.Struct, frozen=True, kw_only=True):
    """About a task. `status` is open until it has finished."""

    task_id: TaskId
    knowledge_base_id: KnowledgeBaseId
    status: str
    source: TaskSource
    documents: TaskCounts
    submitted_at: datetime
    links: dict[str, str]


class DocumentCause(msgspec.Struct, frozen=True):
    """Why a document failed."""

    code: str
    message: str
    step: str


class DocumentNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in it so far."""

    pages: int
    chunks: int
    tokens: int


class DocumentNews(msgspec.Struct, frozen=True, kw_only=True):
    """About a document, as it was right behind the fact."""

    document_id: DocumentId
    task_id: TaskId
    knowledge_base_id: KnowledgeBaseId
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    status: str
    counts: DocumentNumbers
    error: DocumentCause | None
    duplicate_of: DocumentId | None
    links: dict[str, str]


class KnowledgeBaseNews(msgspec.Struct, frozen=True, kw_only=True):
    """About a knowledge base; `name` is the one that it has, or had last."""

    knowledge_base_id: KnowledgeBaseId
    name: str | None
    links: dict[str, str]


class StreamNews(msgspec.Struct, frozen=True):
    """All that can be told where a history cannot be read: which stream it is about."""

    stream_id: str


class WebhookNews(msgspec.Struct, frozen=True):
    """What a test is about."""

    webhook_id: WebhookId


class Told(msgspec.Struct, frozen=True):
    """A fact as it is told: about which knowledge base (None: nobody can tell), and in which bytes."""

    knowledge_base_id: KnowledgeBaseId | None
    body: bytes


_encoder = msgspec.json.Encoder(order="deterministic")


def told(name: EventName, envelope: Envelope, history: Sequence[Envelope]) -> Told:
    """`history` are the stream's events from the first on, up to the fact at least. What came later changes nothing."""
    until = [one for one in history if one.version <= envelope.version]
    owner, news = _news(envelope, until)
    message = Message(type=name.value, timestamp=utc(envelope.recorded_at_us), data=news)
    return Told(owner, _encoder.encode(message))


def told_of_unreadable(name: EventName, envelope: Envelope) -> Told:
    """Of a fact whose history is damaged or of a newer program: better little than nothing."""
    news = StreamNews(envelope.stream_id)
    return Told(None, _encoder.encode(Message(type=name.value, timestamp=utc(envelope.recorded_at_us), data=news)))


def message_of_test(webhook: WebhookId, at_us: int) -> bytes:
    """What a test sends."""
    return _encoder.encode(Message(type=TEST, timestamp=utc(at_us), data=WebhookNews(webhook)))


def _news(envelope: Envelope, history: Sequence[Envelope]) -> tuple[KnowledgeBaseId | None, msgspec.Struct]:
    stream = envelope.stream_id
    match kind_of(stream):
        case StreamKind.TASK:
            task = fold(TASK, history).state
            if not isinstance(task, UnknownTask):
                return task.submitted.knowledge_base_id, _task_news(TaskId(stream), task, envelope)
        case StreamKind.DOCUMENT:
            document = fold(DOCUMENT, history)
            status = document_status(
                DocumentId(stream), document.state, version=document.version, updated_at_us=envelope.recorded_at_us
            )
            if status is not None and not isinstance(document.state, Unknown):
                return status.knowledge_base_id, _document_news(status)
        case StreamKind.KNOWLEDGE_BASE:
            knowledge_base = KnowledgeBaseId(stream)
            return knowledge_base, _knowledge_base_news(knowledge_base, history)
    return None, StreamNews(stream)


def _task_news(task_id: TaskId, task: OpenTask | FinishedTask, envelope: Envelope) -> TaskNews:
    submitted, path = task.submitted, f"{PATH}/tasks/{task_id}"
    counts = TaskCounts(total=submitted.documents)
    if isinstance(envelope.event, TaskFinished):
        ended = envelope.event
        counts = TaskCounts(
            total=submitted.documents,
            completed=ended.succeeded,
            failed=ended.failed,
            cancelled=ended.cancelled,
            skipped=ended.skipped,
        )
    return TaskNews(
        task_id=task_id,
        knowledge_base_id=submitted.knowledge_base_id,
        status=task.outcome.value if isinstance(task, FinishedTask) else "open",
        source=submitted.source,
        documents=counts,
        submitted_at=utc(submitted.submitted_at_us),
        links={"task": path, "documents": f"{path}/documents"},
    )


def _document_news(status: DocumentStatus) -> DocumentNews:
    knowledge_base, counts, error = status.knowledge_base_id, status.counts, status.error
    return DocumentNews(
        document_id=status.document_id,
        task_id=status.task_id,
        knowledge_base_id=knowledge_base,
        filename=status.filename,
        media_type=status.media_type,
        size_bytes=status.size_bytes,
        sha256=status.sha256,
        status=status.status.value,
        counts=DocumentNumbers(pages=counts.pages, chunks=counts.chunks, tokens=counts.tokens),
        error=None if error is None else DocumentCause(error.code, error.message, error.step.value),
        duplicate_of=status.duplicate_of,
        links={
            "document": f"{PATH}/knowledge-bases/{knowledge_base}/documents/{status.document_id}",
            "task": f"{PATH}/tasks/{status.task_id}",
        },
    )


def _knowledge_base_news(knowledge_base: KnowledgeBaseId, history: Sequence[Envelope]) -> KnowledgeBaseNews:
    return KnowledgeBaseNews(
        knowledge_base_id=knowledge_base,
        name=_name_of(fold(knowledge_base_decider(knowledge_base), history).state),
        links={"knowledge_base": f"{PATH}/knowledge-bases/{knowledge_base}"},
    )


def _name_of(state: KnowledgeBaseState) -> str | None:
    match state:
        case UnknownKnowledgeBase():
            return None
        case ActiveKnowledgeBase(name=name) | DeletedKnowledgeBase(before=ActiveKnowledgeBase(name=name)):
            return name
        case _:
            assert_never(state)
