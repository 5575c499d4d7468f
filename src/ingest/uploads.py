"""An upload from its first header to its 202."""

from starlette.requests import Request

from blobs.store import BlobWriter
from domain.decider import fold
from domain.deciders import knowledge_base_decider
from domain.handle import load
from domain.knowledge_base import active
from events.failpoints import Place, failpoint
from events.ids import KnowledgeBaseId, document_id
from ingest.accepted import AcceptedTask
from ingest.form_headers import boundary_of
from ingest.idempotency import idempotency_key
from ingest.multipart import read_form
from ingest.options import UploadOptions, parse_options
from ingest.services import IngestServices
from ingest.submit import Submission, new_task_id, source_key, submit
from ingest.unclaimed import UnclaimedBlobs


async def upload(services: IngestServices, knowledge_base_id: KnowledgeBaseId, request: Request) -> AcceptedTask:
    """Streams the files into the blob store and appends their task; whatever fails before the append leaves nothing.

    What can be refused by headers alone is refused before a byte of the body is read. Raises Rejected, Refused,
    ClientDisconnect, and what the log and the blob store raise.
    """
    boundary = boundary_of(request.headers, services.settings)
    key = idempotency_key(request.headers)
    actor = services.actor_of(request)
    decider = knowledge_base_decider(knowledge_base_id)
    known = await load(services.log, decider, knowledge_base_id)
    active(known.state)
    task_id = new_task_id(services, knowledge_base_id, key, actor)

    failpoint(Place.API_ADMITTED)
    async with UnclaimedBlobs(services.blobs) as unclaimed:

        def open_blob(ordinal: int) -> BlobWriter:
            return unclaimed.writer(source_key(document_id(task_id, ordinal), services.ids.unique()))

        form = await read_form(request.stream(), boundary, services.settings, open_blob)
        failpoint(Place.API_STORED)
        options = _options(services, form.options)
        # An upload can take an hour: what happened to the knowledge base since is read, and nothing before it again.
        since = await services.log.history(knowledge_base_id, after_version=known.version)
        active(fold(decider, since, known).state)
        submission = Submission(
            knowledge_base_id=knowledge_base_id,
            task_id=task_id,
            files=form.files,
            options=options,
            idempotency_key=key,
            actor=actor,
        )
        return await submit(services, submission, unclaimed)


def _options(services: IngestServices, raw: bytes | None) -> UploadOptions:
    return UploadOptions() if raw is None else parse_options(raw, services.settings, services.clock_us())
