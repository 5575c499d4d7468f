"""Folding on demand: what the projector has not reached yet is read from the log by the very folds that it uses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from domain.task import documents_of
from events.envelope import Envelope
from events.ids import DocumentId, KnowledgeBaseId, TaskId, partition_of
from events.log import EventLog
from projections.batch import Batch
from projections.documents import DocumentRow
from projections.knowledge_bases import KnowledgeBaseRow
from projections.projection import KNOWLEDGE_BASES, TASKS, RowKey
from projections.rows import DOCUMENT_PROJECTION, KNOWLEDGE_BASE_PROJECTION
from projections.tasks import TaskRow
from projections.views import ViewStore

HISTORIES_AT_ONCE_MAX: Final = 64
"""Histories read at a time for one answer: more would queue for connections that other answers need."""

TAIL_PAGE_EVENTS: Final = 1_000

T = TypeVar("T")
R = TypeVar("R")


async def fold_document(event_log: EventLog, document: DocumentId) -> DocumentRow | None:
    """None for a document that no fact tells of."""
    row: DocumentRow | None = None
    for envelope in await event_log.history(document):
        row = DOCUMENT_PROJECTION.follow(row, envelope)
    return row


async def fold_task(event_log: EventLog, task: TaskId) -> TaskRow | None:
    """The task with the counts of the documents that its submission names; None for one that no fact tells of."""
    own = await event_log.history(task)
    if not own:
        return None
    documents = await histories(event_log, documents_of(task, own))
    batch = Batch([*own, *(envelope for history in documents for envelope in history)])
    batch.fold_documents({})
    row = batch.fold_counts({}).rows.get(RowKey(TASKS, task))
    return row if isinstance(row, TaskRow) else None


async def fresh_knowledge_base(
    event_log: EventLog, views: ViewStore, knowledge_base: KnowledgeBaseId
) -> KnowledgeBaseRow | None:
    """The view with every fact of the knowledge base that the projector has not reached yet."""
    payload = (await views.rows(partition_of(knowledge_base), KNOWLEDGE_BASES, [knowledge_base]))[0]
    row = None if payload is None else KNOWLEDGE_BASE_PROJECTION.decode(payload)
    known_version = 0 if row is None else row.folded.version
    for envelope in await event_log.history(knowledge_base, after_version=known_version):
        row = KNOWLEDGE_BASE_PROJECTION.follow(row, envelope)
    return row


async def histories(event_log: EventLog, streams: Sequence[str]) -> list[list[Envelope]]:
    """Several histories, in the order asked for."""
    return await gathered(streams, event_log.history)


async def gathered(items: Sequence[T], call: Callable[[T], Awaitable[R]]) -> list[R]:
    """The answers in order, a bounded number of calls at a time."""
    if len(items) == 1:
        return [await call(items[0])]  # without a task of its own
    answers: list[R] = []
    for start in range(0, len(items), HISTORIES_AT_ONCE_MAX):
        answers += await asyncio.gather(*map(call, items[start : start + HISTORIES_AT_ONCE_MAX]))
    return answers


async def behind_the_views(event_log: EventLog, views: ViewStore, partition: int) -> AsyncIterator[Envelope]:
    """The facts that the live views do not hold yet, up to where the log ended when this was asked."""
    checkpoint = await views.checkpoint(partition)
    head = await event_log.head(partition)
    after, number = checkpoint.position, checkpoint.number
    while number < head.number:
        page = await event_log.read(partition, after=after, limit=min(TAIL_PAGE_EVENTS, head.number - number))
        if not page:
            return
        for entry in page:
            if isinstance(entry, Envelope):
                yield entry
        after, number = page[-1].position, number + len(page)
