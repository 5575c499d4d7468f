"""Stored blobs become one task and its documents, in one append.

Order: blob, sidecar, event. A blob without an event is an orphan and is collected; an event without its blob must
never exist.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from domain.commands import AcceptDocument, SubmitTask
from domain.deciders import DOCUMENT, TASK
from domain.document import DocumentState, Erased, Removed, Skipped, Unknown, record_of
from domain.errors import Contention, Refused
from domain.handle import Guard, Handled, Request, handle_together, load
from domain.knowledge_base import KnowledgeBaseState
from domain.sidecar import SIDECAR_FORMAT, Sidecar, encode_sidecar, sidecar_key
from domain.task import FinishedTask, OpenTask
from events.errors import InvalidAppend, LogError, LogFull
from events.failpoints import Place, failpoint
from events.ids import KnowledgeBaseId, TaskId, derived_task_id, document_id
from events.task import TaskSource
from ingest.accepted import AcceptedTask, accepted_task
from ingest.callbacks import expect_callback
from ingest.concurrency import all_of
from ingest.idempotency import Sent, key_sha256, request_sha256
from ingest.multipart import StoredFile
from ingest.options import UploadOptions
from ingest.services import IngestServices
from ingest.unclaimed import UnclaimedBlobs


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a client asked for, with its files stored. `guard` is the knowledge base, as it was seen last."""

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    files: tuple[StoredFile, ...]
    options: UploadOptions
    idempotency_key: str | None
    actor: str
    guard: Guard[KnowledgeBaseState]
    source: TaskSource = TaskSource.UPLOAD


def new_task_id(
    services: IngestServices, knowledge_base_id: KnowledgeBaseId, idempotency_key: str | None, actor: str
) -> TaskId:
    """Derived from the Idempotency-Key, so that a repeated request meets its own task; new without one."""
    if idempotency_key is None:
        return services.ids.task(knowledge_base_id)
    return derived_task_id(knowledge_base_id, idempotency_key, actor)


async def submit(services: IngestServices, submission: Submission, unclaimed: UnclaimedBlobs) -> AcceptedTask:
    """Appends the task with its documents; a repeat answers the present state and leaves its own blobs unclaimed.

    Raises Refused, and what the log and the blob store raise. After LogUnavailable the blobs stay claimed: the events
    may be in the log.
    """
    accepts = _accept_commands(submission)
    submit_task = _submit_command(submission)
    await _store_sidecars(services, submission, submit_task, accepts, unclaimed)
    requests = requests_of(submission.task_id, submit_task, accepts)
    await expect_callback(services.callbacks, submit_task.callback_url)
    context = services.context(submission.task_id, submission.actor)
    unclaimed.claim()
    failpoint(Place.API_BEFORE_APPEND)
    try:
        handled = await handle_together(services.log, requests, context, guard=submission.guard)
    except (Refused, Contention, LogFull, InvalidAppend):
        if not await _is_accepted(services, submission):
            unclaimed.disclaim()
        raise
    failpoint(Place.API_APPENDED)
    return _answer(submission, handled, unclaimed)


async def _is_accepted(services: IngestServices, submission: Submission) -> bool:
    """Whether these very blobs are in the log for all that: a request that stood still for a minute finds that a
    reconciliation took it for lost. Where the log does not tell, they stay, and are orphans or are not."""
    try:
        known = await load(services.log, DOCUMENT, document_id(submission.task_id, 0))
    except LogError:
        return True
    return _source_of(known.state) in {file.blob.key for file in submission.files}


def _answer(submission: Submission, handled: tuple[Handled[Any], ...], unclaimed: UnclaimedBlobs) -> AcceptedTask:
    task: OpenTask | FinishedTask = handled[0].folded.state
    documents: list[DocumentState] = [one.folded.state for one in handled[1:]]
    if not any(one.envelopes for one in handled):
        ours = {file.blob.key for file in submission.files}
        if ours.isdisjoint(map(_source_of, documents)):
            unclaimed.disclaim()
        message = "This request was accepted before; here is its task."
    else:
        count = len(documents)
        message = f"Accepted {count} document{'' if count == 1 else 's'}; follow the task to see them processed."
    named = {document_id(submission.task_id, ordinal): state for ordinal, state in enumerate(documents)}
    return accepted_task(submission.task_id, task, named, message)


def _accept_commands(submission: Submission) -> tuple[AcceptDocument, ...]:
    options = submission.options
    return tuple(
        AcceptDocument(
            knowledge_base_id=submission.knowledge_base_id,
            task_id=submission.task_id,
            filename=file.filename,
            media_type=file.media_type.value,
            size_bytes=file.blob.size_bytes,
            sha256=file.blob.sha256,
            source_blob=file.blob.key,
            declared_media_type=file.declared_media_type,
            metadata=options.metadata,
            lane=options.lane,
            not_before_us=options.not_before_us,
        )
        for file in submission.files
    )


def _submit_command(submission: Submission) -> SubmitTask:
    key, options = submission.idempotency_key, submission.options
    sent = [Sent(file.filename, file.blob.sha256, file.blob.size_bytes) for file in submission.files]
    return SubmitTask(
        knowledge_base_id=submission.knowledge_base_id,
        documents=len(submission.files),
        lane=options.lane,
        source=submission.source,
        callback_url=None if options.callback_url is UNSET else options.callback_url,
        not_before_us=options.not_before_us,
        idempotency_key_sha256=None if key is None else key_sha256(key),
        request_sha256=None if key is None else request_sha256(sent, options),
    )


def requests_of(task_id: TaskId, task: SubmitTask, accepts: Sequence[AcceptDocument]) -> list[Request[Any, Any]]:
    """What enters the log together for an upload: its task, then its documents in order."""
    documents = (Request(DOCUMENT, document_id(task_id, ordinal), (accept,)) for ordinal, accept in enumerate(accepts))
    return [Request(TASK, task_id, (task,)), *documents]


async def _store_sidecars(
    services: IngestServices,
    submission: Submission,
    submit_task: SubmitTask,
    accepts: Sequence[AcceptDocument],
    unclaimed: UnclaimedBlobs,
) -> None:
    turns = asyncio.Semaphore(services.settings.sidecars_in_flight_max)
    stored_at_us = services.clock_us()

    async def store(ordinal: int, accept: AcceptDocument) -> None:
        sidecar = Sidecar(
            format=SIDECAR_FORMAT,
            document_id=document_id(submission.task_id, ordinal),
            ordinal=ordinal,
            documents=len(accepts),
            stored_at_us=stored_at_us,
            actor=submission.actor,
            accept=accept,
            submit=submit_task,
        )
        async with turns:
            await unclaimed.put(sidecar_key(accept.source_blob), encode_sidecar(sidecar))

    await all_of(store(ordinal, accept) for ordinal, accept in enumerate(accepts))


def _source_of(state: DocumentState) -> str | None:
    match state:
        case Unknown() | Skipped():
            return None
        case Removed() | Erased():
            return _source_of(state.before)
        case _:
            return record_of(state).about.source_blob
