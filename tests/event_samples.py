"""Ids, events and writes for tests of the log: deterministic, short to write, in a partition that the test names."""

from collections.abc import Iterator
from itertools import count

from events.document import DocumentAccepted, DocumentIndexed
from events.envelope import Envelope, Event
from events.ids import DocumentId, EventId, KnowledgeBaseId, TaskId, document_id, uuid7_hex
from events.log import Tally, TallyChange, Write
from events.steps import Lane

_unique: Iterator[int] = count(1)

T0_US = 1_700_000_000_000_000


def unique() -> str:
    """32 hex digits that no other call of this process answers."""
    return uuid7_hex(T0_US // 1_000, next(_unique).to_bytes(10, "big"))


def new_knowledge_base(partition: int = 0) -> KnowledgeBaseId:
    return KnowledgeBaseId(f"kb_{partition:02x}{unique()}")


def new_task(partition: int = 0) -> TaskId:
    return TaskId(f"task_{partition:02x}{unique()}")


def new_document(partition: int = 0) -> DocumentId:
    return document_id(new_task(partition), 0)


def accepted(task: TaskId, knowledge_base: KnowledgeBaseId, *, not_before_us: int | None = None) -> DocumentAccepted:
    return DocumentAccepted(
        knowledge_base_id=knowledge_base,
        task_id=task,
        filename="报告 2024.pdf",
        media_type="application/pdf",
        size_bytes=1_234,
        sha256="ab" * 32,
        source_blob="documents/d/source",
        not_before_us=not_before_us,
    )


def indexed(chunks: int = 3) -> DocumentIndexed:
    return DocumentIndexed(generation=1, chunks=chunks)


def envelope(stream: str, version: int, event: Event, *, task: str, recorded_at_us: int = T0_US) -> Envelope:
    return Envelope(
        event_id=EventId(unique()),
        stream_id=stream,
        version=version,
        event=event,
        recorded_at_us=recorded_at_us,
        correlation_id=task,
    )


def write(
    stream: str,
    expected_version: int,
    *events: Event,
    knowledge_base: KnowledgeBaseId,
    task: str,
    lane: Lane = Lane.INTERACTIVE,
    tally: tuple[Tally, ...] = (),
) -> Write:
    """A write whose envelopes have new event ids; each tally is a change to `task`'s."""
    return Write(
        stream_id=stream,
        expected_version=expected_version,
        envelopes=tuple(
            envelope(stream, version, event, task=task)
            for version, event in enumerate(events, start=expected_version + 1)
        ),
        knowledge_base_id=knowledge_base,
        lane=lane,
        tally=tuple(TallyChange(TaskId(task), change) for change in tally),
    )
