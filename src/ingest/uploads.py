"""An upload from its first header to its 202."""

from starlette.requests import Request

from blobs.store import BlobWriter
from domain.sidecar import source_key
from events.failpoints import Place, failpoint
from events.ids import KnowledgeBaseId, document_id
from ingest.accepted import AcceptedTask
from ingest.body import content_length
from ingest.callbacks import refuse_callback
from ingest.form_headers import boundary_of
from ingest.idempotency import idempotency_key
from ingest.known_bases import KnownBases
from ingest.multipart import read_form
from ingest.options import UploadOptions, parse_options
from ingest.problems import ProblemCode, Rejected
from ingest.quota import MeteredForm
from ingest.request_headers import headers_of
from ingest.services import IngestServices
from ingest.submit import Submission, new_task_id, submit
from ingest.unclaimed import UnclaimedBlobs


async def upload(
    services: IngestServices, known_bases: KnownBases, knowledge_base_id: KnowledgeBaseId, request: Request
) -> AcceptedTask:
    """Streams the files into the blob store and appends their task; whatever fails before the append leaves nothing.

    What can be refused by headers alone is refused before a byte of the body is read. Raises Rejected, Refused,
    ClientDisconnect, and what the log and the blob store raise.
    """
    began_us = services.clock_us()
    headers = headers_of(request.scope)
    boundary = boundary_of(headers, services.settings)
    key = idempotency_key(headers)
    actor = services.actor_of(request)
    known = await known_bases.while_active(knowledge_base_id)
    metered = MeteredForm(await services.room_of(knowledge_base_id, actor))
    metered.announced(content_length(headers))
    task_id = new_task_id(services, knowledge_base_id, key, actor)

    failpoint(Place.API_ADMITTED)
    async with UnclaimedBlobs(services.blobs) as unclaimed:

        def open_blob(ordinal: int) -> BlobWriter:
            return metered.file(unclaimed.writer(source_key(document_id(task_id, ordinal), services.ids.unique())))

        form = await read_form(request.stream(), boundary, services.settings, open_blob)
        async with form.last:
            options = _options(services, form.options)
            await refuse_callback(services.callbacks, options)
            _refuse_late(services, began_us)
            services.refuse_ended(request.scope)
            # An upload can take an hour. The append compares: where the knowledge base has changed since, it is read
            # again and asked again; nothing enters one that was deleted, were it in the very instant.
            submission = Submission(
                knowledge_base_id=knowledge_base_id,
                task_id=task_id,
                files=form.files,
                options=options,
                idempotency_key=key,
                actor=actor,
                guard=known,
                last=form.last,
            )
            return await submit(services, submission, unclaimed)


def _refuse_late(services: IngestServices, began_us: int) -> None:
    """Raises Rejected: what was stored so long ago may be taken for the remains of a request that died."""
    limit_s = services.settings.upload_s_max
    if services.clock_us() - began_us > limit_s * 1_000_000:
        raise Rejected(ProblemCode.UPLOAD_TOO_SLOW, f"The upload took longer than {limit_s:,} s; send fewer files.")


def _options(services: IngestServices, raw: bytes | None) -> UploadOptions:
    return UploadOptions() if raw is None else parse_options(raw, services.settings, services.clock_us())
