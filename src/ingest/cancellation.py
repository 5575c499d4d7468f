"""Cancelling a task, and deleting a document."""

import asyncio
from typing import Final

import msgspec

from domain.commands import CancelDocument, CancelTask, RemoveDocument
from domain.decider import fold_to_decide
from domain.deciders import DOCUMENT, TASK
from domain.document import DocumentState, Erased, Open, Removed, Skipped, Unknown, record_of
from domain.errors import RefusalCode, Refused
from domain.handle import handle, load
from domain.status import DocumentPhase, document_phase
from domain.task import documents_of, existing
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from ingest.accepted import AcceptedTask, accepted_task
from ingest.concurrency import all_of
from ingest.preconditions import NO_PRECONDITIONS, Preconditions
from ingest.services import IngestServices

DOCUMENTS_IN_FLIGHT_MAX: Final = 32
"""A task has up to 1,000 documents; a read and an append for each at once would crowd out uploads."""


class RemovedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document is gone for everybody; erasing its bytes and chunks goes on behind the answer."""

    document_id: DocumentId
    status: DocumentPhase


async def cancel_task(services: IngestServices, task_id: TaskId, reason: str, actor: str) -> AcceptedTask:
    """Cancels the task, then each document that has not ended. Saying it twice completes what a crash left undone.

    Raises Refused (unknown_task, task_finished), Contention and what the log raises.
    """
    context = services.context(task_id, actor)
    history = await services.log.history(task_id)
    command = CancelTask(reason=reason)
    handled = await handle(services.log, TASK, task_id, [command], context, known=fold_to_decide(TASK, history))
    task = existing(handled.folded.state)
    turns = asyncio.Semaphore(DOCUMENTS_IN_FLIGHT_MAX)

    async def cancel(document: DocumentId) -> DocumentState:
        async with turns:
            return await _cancel_document(services, document, task_id, reason, actor)

    documents = documents_of(task_id, history)
    states = dict(zip(documents, await all_of(map(cancel, documents)), strict=True))
    return accepted_task(task_id, task, states, "What has ended stays; nothing further of this task is begun.")


async def _cancel_document(
    services: IngestServices, document: DocumentId, task_id: TaskId, reason: str, actor: str
) -> DocumentState:
    known = await load(services.log, DOCUMENT, document)
    if not isinstance(known.state, Open):
        return known.state
    try:
        handled = await handle(
            services.log,
            DOCUMENT,
            document,
            [CancelDocument(reason=reason, task_id=task_id)],
            services.context(task_id, actor),
            known=known,
        )
    except Refused:  # it ended between the two: what is done stays done
        return (await load(services.log, DOCUMENT, document)).state
    return handled.folded.state


async def remove_dead_letter(services: IngestServices, document: DocumentId, actor: str) -> RemovedDocument:
    """As `remove_document`, for one that failed: raises Refused (unknown_document, not_a_dead_letter) else."""
    context = services.context(document, actor)
    command = RemoveDocument(reason="deleted from the dead letters", only_failed=True)
    handled = await handle(services.log, DOCUMENT, document, [command], context)
    return RemovedDocument(document_id=document, status=document_phase(handled.folded.state))


async def remove_document(
    services: IngestServices,
    knowledge_base_id: KnowledgeBaseId,
    document: DocumentId,
    actor: str,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> RemovedDocument:
    """Raises Rejected, Refused (unknown_document, also for one of another knowledge base), Contention, what the log
    raises."""
    known = await load(services.log, DOCUMENT, document)
    if _knowledge_base_of(known.state) != knowledge_base_id:
        raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id in the knowledge base")
    preconditions.check(known.version)
    handled = await handle(
        services.log,
        DOCUMENT,
        document,
        [RemoveDocument(reason="deleted by request")],
        services.context(document, actor),
        known=known,
        allows=preconditions.of_known(known),
    )
    return RemovedDocument(document_id=document, status=document_phase(handled.folded.state))


def _knowledge_base_of(state: DocumentState) -> KnowledgeBaseId | None:
    match state:
        case Unknown():
            return None
        case Skipped():
            return state.knowledge_base_id
        case Removed() | Erased():
            return _knowledge_base_of(state.before)
        case _:
            return record_of(state).about.knowledge_base_id
