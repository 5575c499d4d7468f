"""Stored blobs become one task and its documents, in one append.

Order: blobs and sidecars, then the event. A blob without an event is an orphan and is collected, a sidecar without its
blob is of an upload that was never accepted; an event without its blob must never exist.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from blobs.store import BlobWriter
from domain.commands import AcceptDocument, RequestDocument, SkipDocument, SubmitTask
from domain.deciders import DOCUMENT, TASK
from domain.document import DocumentState, Skipped
from domain.errors import Contention, Refused
from domain.handle import Guard, Handled, Request, handle_together, load
from domain.knowledge_base import KnowledgeBaseState
from domain.sidecar import SIDECAR_FORMAT, Sidecar
from domain.task import FinishedTask, OpenTask
from events.document import OnDuplicate
from events.errors import InvalidAppend, LogError, LogFull
from events.failpoints import Place, failpoint
from events.ids import KnowledgeBaseId, TaskId, derived_task_id, document_id
from events.task import TaskSource
from ingest.accepted import REPEATED, AcceptedTask, accepted_message, accepted_task
from ingest.callbacks import expect_callback
from ingest.idempotency import Sent, key_sha256, request_sha256
from ingest.multipart import StoredFile
from ingest.options import UploadOptions, metadata_with_path
from ingest.services import IngestServices
from ingest.settings import IngestSettings
from ingest.sidecars import let_go, store_sidecars
from ingest.unclaimed import UnclaimedBlobs


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a client asked for, with its files stored, but for the end of the last one where `last` has it.

    `guard` is the knowledge base, as it was seen last.
    """

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    files: tuple[StoredFile, ...]
    options: UploadOptions
    idempotency_key: str | None
    actor: str
    guard: Guard[KnowledgeBaseState]
    source: TaskSource = TaskSource.UPLOAD
    last: BlobWriter | None = None


def new_task_id(
    services: IngestServices, knowledge_base_id: KnowledgeBaseId, idempotency_key: str | None, actor: str
) -> TaskId:
    """Derived from the Idempotency-Key, so that a repeated request meets its own task; new without one."""
    if idempotency_key is None:
        return services.ids.task(knowledge_base_id)
    return derived_task_id(knowledge_base_id, idempotency_key, actor)


async def submit(services: IngestServices, submission: Submission, unclaimed: UnclaimedBlobs) -> AcceptedTask:
    """Appends the task with its documents; of a duplicate that is skipped, and of a repeat, no blob stays.

    Raises Refused, and what the log and the blob store raise. After LogUnavailable the blobs stay claimed: the events
    may be in the log.
    """
    accepts = _accept_commands(submission, services.settings)
    submit_task = _submit_command(submission)
    sidecars = _sidecars(submission, submit_task, accepts, services.clock_us())
    in_flight_max = services.settings.sidecars_in_flight_max
    await store_sidecars(sidecars, unclaimed, in_flight_max=in_flight_max, last=submission.last)
    requests = requests_of(submission.task_id, submit_task, accepts)
    await expect_callback(services.callbacks, submit_task.callback_url)
    context = services.context(submission.task_id, submission.actor)
    unclaimed.claim()
    failpoint(Place.API_BEFORE_APPEND)
    try:
        handled = await handle_together(services.log, requests, context, guard=submission.guard)
    except (Refused, Contention, LogFull, InvalidAppend):
        await _disclaim_unless_accepted(services, sidecars, unclaimed)
        raise
    failpoint(Place.API_APPENDED)
    documents: list[DocumentState] = [one.folded.state for one in handled[1:]]
    await let_go(sidecars, documents, unclaimed)
    return _answer(submission, handled, documents)


async def _disclaim_unless_accepted(
    services: IngestServices, sidecars: Sequence[Sidecar], unclaimed: UnclaimedBlobs
) -> None:
    """These very blobs may be in the log for all that: a request that stood still for a minute finds that a
    reconciliation took it for lost. Where the log does not tell, they stay, and are orphans or are not."""
    try:
        names = [sidecar.document_id for sidecar in sidecars]
        versions = await services.log.versions(names)
        if any(versions):
            known = [(await load(services.log, DOCUMENT, name)).state for name in names]
            await let_go(sidecars, known, unclaimed)
        else:
            unclaimed.disclaim()
    except LogError:
        return


def _answer(
    submission: Submission, handled: tuple[Handled[Any], ...], documents: Sequence[DocumentState]
) -> AcceptedTask:
    task: OpenTask | FinishedTask = handled[0].folded.state
    is_repeat = not any(one.envelopes for one in handled)
    named = {document_id(submission.task_id, ordinal): state for ordinal, state in enumerate(documents)}
    skipped = sum(isinstance(state, Skipped) for state in documents)
    message = REPEATED if is_repeat else accepted_message(len(documents) - skipped, skipped)
    return accepted_task(submission.task_id, task, named, message)


def _accept_commands(submission: Submission, settings: IngestSettings) -> tuple[AcceptDocument, ...]:
    options, seen = submission.options, set[str]()
    commands = []
    for file in submission.files:
        # Equal files of one request are meant to be one document, were it to replace another.
        is_double = file.blob.sha256 in seen and options.duplicates is OnDuplicate.REPLACE
        seen.add(file.blob.sha256)
        commands.append(
            AcceptDocument(
                knowledge_base_id=submission.knowledge_base_id,
                task_id=submission.task_id,
                filename=file.filename,
                media_type=file.media_type.value,
                size_bytes=file.blob.size_bytes,
                sha256=file.blob.sha256,
                source_blob=file.blob.key,
                declared_media_type=file.declared_media_type,
                metadata=metadata_with_path(options.metadata, file.path, settings),
                lane=options.lane,
                not_before_us=options.not_before_us,
                on_duplicate=OnDuplicate.SKIP if is_double else options.duplicates,
            )
        )
    return tuple(commands)


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


def requests_of(
    task_id: TaskId, task: SubmitTask, documents: Sequence[AcceptDocument | SkipDocument | RequestDocument]
) -> list[Request[Any, Any]]:
    """What enters the log together for an upload or an import: its task, then its documents in order."""
    named = (Request(DOCUMENT, document_id(task_id, ordinal), (one,)) for ordinal, one in enumerate(documents))
    return [Request(TASK, task_id, (task,)), *named]


def _sidecars(
    submission: Submission, submit_task: SubmitTask, accepts: Sequence[AcceptDocument], stored_at_us: int
) -> list[Sidecar]:
    return [
        Sidecar(
            format=SIDECAR_FORMAT,
            document_id=document_id(submission.task_id, ordinal),
            ordinal=ordinal,
            documents=len(accepts),
            stored_at_us=stored_at_us,
            actor=submission.actor,
            accept=accept,
            submit=submit_task,
        )
        for ordinal, accept in enumerate(accepts)
    ]
