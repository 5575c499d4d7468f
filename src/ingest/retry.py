"""Documents that ended are worked on again, under a task of their own.

A task ends once, so what is tried again belongs to a new one: it names its documents, and enters the log together with
the request to each of them, all or nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from domain.amounts import counted
from domain.commands import RequestReprocessing, SubmitTask
from domain.decider import Folded, fold_to_decide
from domain.deciders import DOCUMENT, TASK
from domain.document import STEPS_IN_ORDER, Cancelled, DocumentState, Failed, Requested, Unknown, stopped_at
from domain.errors import Contention, RefusalCode, Refused
from domain.handle import CONFLICTS_MAX, Guard, Prepared, load, prepare
from domain.knowledge_base import KnowledgeBaseState
from domain.task import documents_of, existing
from events.envelope import Envelope
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.log import Appended
from events.steps import Lane, Step
from events.task import DOCUMENTS_NAMED_MAX, TaskSource
from ingest.accepted import AcceptedTask, accepted_task
from ingest.concurrency import all_of
from ingest.idempotency import key_sha256, parts_sha256
from ingest.knowledge_bases import while_active
from ingest.own_chunking import OwnChunking, own_chunking, settings_said
from ingest.services import IngestServices
from ingest.submit import new_task_id

HISTORIES_IN_FLIGHT_MAX: Final = 32
"""A thousand documents are read for one answer; all at once would crowd out uploads."""

REPEATED: Final = "This request was accepted before; here is its task."


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be tried again. `chooses` picks among `documents` by their state, None takes all of them.

    `request` is what the client asked for in words: the same Idempotency-Key with another one is refused. `chunking` is
    what they are cut by from now on.
    """

    knowledge_base_id: KnowledgeBaseId
    documents: Sequence[DocumentId]
    chooses: Callable[[DocumentState], bool] | None
    from_step: Step | None
    source: TaskSource
    reason: str
    request: tuple[str, ...] = ()
    chunking: OwnChunking = UNSET


async def retry_task(
    services: IngestServices,
    task_id: TaskId,
    *,
    from_step: Step | None,
    with_cancelled: bool,
    idempotency_key: str | None,
    actor: str,
) -> AcceptedTask:
    """The failed documents of a task again, each from the step that failed, or from an earlier `from_step`.

    Raises Refused (unknown_task, nothing_to_retry, knowledge_base_deleted, idempotency_key_reused), Contention, what
    the log raises.
    """
    history = await services.log.history(task_id)
    task = existing(fold_to_decide(TASK, history).state)
    again = Again(
        knowledge_base_id=task.submitted.knowledge_base_id,
        documents=documents_of(task_id, history),
        chooses=partial(_ended_early, with_cancelled=with_cancelled),
        from_step=from_step,
        source=TaskSource.RETRY,
        reason=f"retry of {task_id}",
        request=("retry", task_id, from_step or "", str(with_cancelled)),
    )
    return await begin_again(services, again, idempotency_key, actor)


async def reprocess_document(
    services: IngestServices,
    knowledge_base_id: KnowledgeBaseId,
    document: DocumentId,
    *,
    from_step: Step | None,
    idempotency_key: str | None,
    actor: str,
    settings: dict[str, Any] | UnsetType = UNSET,
) -> AcceptedTask:
    """One document again, whatever its end was, by settings of its own where they are given (none: by those of the
    knowledge base again). Raises Refused (document_in_progress, step_not_reached, reindex_required too)."""
    known = await load(services.log, DOCUMENT, document)
    if known.version == 0 or DOCUMENT.placement(known.state).knowledge_base_id != knowledge_base_id:
        raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id in the knowledge base")
    again = Again(
        knowledge_base_id=knowledge_base_id,
        documents=(document,),
        chooses=None,
        from_step=from_step,
        source=TaskSource.REPROCESS,
        reason="asked for",
        request=("reprocess", document, from_step or "", *settings_said(settings)),
        chunking=await own_chunking(services, knowledge_base_id, settings, from_step),
    )
    return await begin_again(services, again, idempotency_key, actor)


async def begin_again(services: IngestServices, again: Again, idempotency_key: str | None, actor: str) -> AcceptedTask:
    """The new task. What others take up in between is left to them; nothing left to do is refused."""
    task_id = new_task_id(services, again.knowledge_base_id, idempotency_key, actor)
    guard = await while_active(services.log, again.knowledge_base_id)
    for _ in range(CONFLICTS_MAX):
        if idempotency_key is not None and (history := await services.log.history(task_id)):
            return await _answer_repeat(services, again, task_id, history, idempotency_key)
        known = await _load_all(services, again.documents)
        chosen = [one for one in again.documents if again.chooses is None or again.chooses(known[one].state)]
        if not chosen:
            raise Refused(RefusalCode.NOTHING_TO_RETRY, "no document has ended that way; nothing was begun again")
        named = {one: known[one] for one in chosen[:DOCUMENTS_NAMED_MAX]}
        begun = await _begin(services, again, task_id, named, idempotency_key, actor, guard)
        if begun is not None:
            return _answer(task_id, begun, list(named), left=len(chosen) - len(named))
        guard = await guard.again(services.log)
    raise Contention(f"the documents kept changing while {task_id} was being decided")


async def _begin(
    services: IngestServices,
    again: Again,
    task_id: TaskId,
    known: Mapping[DocumentId, Folded[DocumentState]],
    idempotency_key: str | None,
    actor: str,
    guard: Guard[KnowledgeBaseState],
) -> list[Prepared[Any]] | None:
    """The task and its documents as they are now; None where one of them, or the guard, changed in between."""
    context = services.context(task_id, actor)
    submit = _submission(again, known, idempotency_key)
    prepared: list[Prepared[Any]] = [prepare(TASK, task_id, Folded(TASK.initial), [submit], context)]
    for document, before in known.items():
        command = RequestReprocessing(
            from_step=_from(again, before.state), reason=again.reason, task_id=task_id, chunking=again.chunking
        )
        prepared.append(prepare(DOCUMENT, document, before, [command], context))
    writes = [one.write for one in prepared if one.write is not None]
    return prepared if isinstance(await services.log.append([*writes, guard.write]), Appended) else None


def _submission(
    again: Again, known: Mapping[DocumentId, Folded[DocumentState]], idempotency_key: str | None
) -> SubmitTask:
    lanes = {DOCUMENT.placement(one.state).lane for one in known.values() if not isinstance(one.state, Unknown)}
    return SubmitTask(
        knowledge_base_id=again.knowledge_base_id,
        documents=len(known),
        lane=Lane.INTERACTIVE if Lane.INTERACTIVE in lanes else Lane.BULK,
        source=again.source,
        idempotency_key_sha256=None if idempotency_key is None else key_sha256(idempotency_key),
        request_sha256=None if idempotency_key is None else parts_sha256(again.request),
        document_ids=tuple(known),
    )


def _from(again: Again, state: DocumentState) -> Step | None:
    """Of several documents each begins where it can: one that never came to the wanted step where it stopped, and one
    whose bytes are here at the parsing of them."""
    if again.chooses is None or again.from_step is None or not isinstance(state, Failed | Cancelled):
        return again.from_step
    first = Step.FETCH if isinstance(state.reached, Requested) else Step.PARSE
    wanted = max(first, again.from_step, key=STEPS_IN_ORDER.index)
    return min(stopped_at(state), wanted, key=STEPS_IN_ORDER.index)


def _ended_early(state: DocumentState, *, with_cancelled: bool) -> bool:
    return isinstance(state, Failed) or (with_cancelled and isinstance(state, Cancelled))


async def _load_all(
    services: IngestServices, documents: Sequence[DocumentId]
) -> dict[DocumentId, Folded[DocumentState]]:
    turns = asyncio.Semaphore(HISTORIES_IN_FLIGHT_MAX)

    async def read(document: DocumentId) -> Folded[DocumentState]:
        async with turns:
            return await load(services.log, DOCUMENT, document)

    return dict(zip(documents, await all_of(map(read, documents)), strict=True))


async def _answer_repeat(
    services: IngestServices, again: Again, task_id: TaskId, history: Sequence[Envelope], idempotency_key: str
) -> AcceptedTask:
    """Raises Refused where the key came with another request."""
    task = fold_to_decide(TASK, history).state
    TASK.decide(_submission(again, {}, idempotency_key), task)
    known = await _load_all(services, documents_of(task_id, history))
    return accepted_task(task_id, existing(task), {one: folded.state for one, folded in known.items()}, REPEATED)


def _answer(task_id: TaskId, begun: list[Prepared[Any]], named: list[DocumentId], *, left: int) -> AcceptedTask:
    task, *documents = (one.after.state for one in begun)
    message = f"{counted(len(documents), 'document')} begun again; follow the task to see them processed."
    if left:
        message += f" {left:,} more are left: ask again for those."
    return accepted_task(task_id, task, dict(zip(named, documents, strict=True)), message)
