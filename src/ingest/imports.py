"""Documents that are named instead of sent: by URL, by key of the import bucket, or as a text in the request itself.

A text is stored at once, like an upload. What lies elsewhere is only noted: its task and one request a document enter
the log in one append, and a worker fetches the bytes.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta
from starlette.requests import Request as HttpRequest

from blobs.errors import InvalidBlobKey
from blobs.objects import OBJECT_KEY_BYTES_MAX, check_object_key
from domain.amounts import counted
from domain.commands import RequestDocument, SubmitTask
from domain.errors import Contention, Refused
from domain.handle import Guard, Handled, handle_together
from domain.knowledge_base import KnowledgeBaseState
from domain.request_sidecar import FORMAT, RequestSidecar, encode_request_sidecar, request_sidecar_key
from domain.sidecar import source_key
from events.errors import InvalidAppend, LogFull
from events.ids import KnowledgeBaseId, TaskId, document_id
from events.task import TaskSource
from ingest.accepted import REPEATED, AcceptedTask, accepted_message, accepted_task
from ingest.body import read_json, refuse_controls, refuse_nul
from ingest.callbacks import expect_callback, refuse_callback
from ingest.called_urls import refused_code
from ingest.concurrency import all_of
from ingest.idempotency import idempotency_key, key_sha256, parts_sha256
from ingest.knowledge_bases import while_active
from ingest.multipart import StoredFile
from ingest.options import OptionsBody, UploadOptions, used_options
from ingest.problems import Flaw, ProblemCode, Rejected, invalid
from ingest.services import IngestServices
from ingest.submit import Submission, new_task_id, requests_of, submit
from ingest.unclaimed import UnclaimedBlobs
from knowledge.filenames import clean_filename, filename_of_url
from knowledge.media_type import SNIFF_BYTES, MediaType, sniff
from outbound.errors import OutboundError
from outbound.urls import URL_CHARACTERS_MAX

FILENAME_CHARS_MAX: Final = 1_000
TEXT_NAME: Final = "text.txt"

URLS_CHECKED_AT_ONCE: Final = 20
CHECK_S_MAX: Final = 20.0
"""For all URLs of a request; one alone has 5 s for its name."""

TEXTS: Final = frozenset(
    {MediaType.MARKDOWN, MediaType.HTML, MediaType.CSV, MediaType.TSV, MediaType.JSON, MediaType.XML, MediaType.TEXT}
)
"""What a text may be told to be by its filename; whatever else its first characters look like, it is text."""

_Url = Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
_Key = Annotated[str, Meta(min_length=1, max_length=OBJECT_KEY_BYTES_MAX)]


class ImportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `urls`, `text` and `objects` (keys below the prefix of the import bucket)."""

    urls: Annotated[list[_Url], Meta(min_length=1)] | None = None
    text: Annotated[str, Meta(min_length=1)] | None = None
    filename: Annotated[str, Meta(min_length=1, max_length=FILENAME_CHARS_MAX)] | None = None
    objects: Annotated[list[_Key], Meta(min_length=1)] | None = None
    options: OptionsBody = OptionsBody()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One document that lies elsewhere; `filename` holds until its bytes are here."""

    filename: str
    url: str | None = None
    object_key: str | None = None


class Importing(msgspec.Struct, frozen=True, kw_only=True):
    """What every kind of import knows."""

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    options: UploadOptions
    key: str | None
    actor: str
    guard: Guard[KnowledgeBaseState]


_decoder = msgspec.json.Decoder(ImportBody)


async def import_documents(
    services: IngestServices, knowledge_base_id: KnowledgeBaseId, request: HttpRequest
) -> AcceptedTask:
    """The task. Raises Rejected (with a pointer to each URL and key that cannot be taken), Refused, and what the log
    and the blob store raise."""
    key, actor = idempotency_key(request.headers), services.actor_of(request)
    guard = await while_active(services.log, knowledge_base_id)
    room = await services.room_of(knowledge_base_id, actor)
    body = await read_json(request, _decoder, bytes_max=services.settings.import_bytes_max)
    _refuse_unclear(body, services)
    options = used_options(body.options, services.settings, services.clock_us())
    await refuse_callback(services.callbacks, options)
    documents = len(body.urls or body.objects or [body.text])
    room.check(documents=documents, size_bytes=len(body.text or "") or documents)
    about = Importing(
        knowledge_base_id=knowledge_base_id,
        task_id=new_task_id(services, knowledge_base_id, key, actor),
        options=options,
        key=key,
        actor=actor,
        guard=guard,
    )
    if body.text is not None:
        return await _take_text(services, about, body.text, body.filename)
    if body.urls is not None:
        await _check_urls(services, about, body.urls)
        return await request_documents(
            services, about, [Wanted(filename=filename_of_url(url), url=url) for url in body.urls]
        )
    return await request_documents(services, about, _objects(services, body.objects or []))


def _refuse_unclear(body: ImportBody, services: IngestServices) -> None:
    given = [name for name in ("urls", "text", "objects") if getattr(body, name) is not None]
    if len(given) != 1:
        raise invalid("", "give exactly one of urls, text and objects")
    most = services.settings.import_items_max
    if len(body.urls or body.objects or ()) > most:
        raise invalid(f"/{given[0]}", f"at most {most:,} in one request")
    if body.filename is not None and body.text is None:
        raise invalid("/filename", "goes with a text; other documents are named by where they come from")
    refuse_nul(body.text, "/text")
    refuse_controls(body.filename or "", "/filename")


async def _check_urls(services: IngestServices, about: Importing, urls: Sequence[str]) -> None:
    """Raises Rejected, with a flaw for each URL that would not be called. A repeated request is not asked again."""
    if about.key is not None and (await services.log.versions([about.task_id]))[0] > 0:
        return
    turns = asyncio.Semaphore(URLS_CHECKED_AT_ONCE)

    async def refusal(url: str) -> tuple[ProblemCode, str, str] | None:
        async with turns:
            try:
                await services.check_url(url)
            except OutboundError as error:
                return refused_code(error), error.detail, str(error)
            return None

    try:
        async with asyncio.timeout(CHECK_S_MAX):
            found = await all_of(map(refusal, urls))
    except TimeoutError as error:
        detail = f"The names of these URLs were not found within {CHECK_S_MAX:g} s; send fewer at a time."
        raise Rejected(ProblemCode.URL_UNRESOLVABLE, detail, (Flaw("/urls", "not found in time"),)) from error
    refused = [(f"/urls/{place}", *why) for place, why in enumerate(found) if why is not None]
    if refused:
        flaws = tuple(Flaw(pointer, whole) for pointer, _, _, whole in refused)
        others = f" ({len(flaws)} of {len(urls)} URLs are not called.)" if len(flaws) > 1 else ""
        pointer, code, detail, _ = refused[0]
        raise Rejected(code, f"{pointer}: {detail}.{others}", flaws)


def _objects(services: IngestServices, keys: Sequence[str]) -> list[Wanted]:
    if not services.has_import_bucket:
        raise Rejected(ProblemCode.NO_IMPORT_BUCKET, "Whoever runs this service has to name one.")
    flaws = []
    for place, key in enumerate(keys):
        try:
            check_object_key(key)
        except InvalidBlobKey as error:
            flaws.append(Flaw(f"/objects/{place}", error.reason))
    if flaws:
        raise Rejected(
            ProblemCode.VALIDATION_FAILED,
            f"Not the key of any object: {len(flaws)} of {counted(len(keys), 'key')}.",
            tuple(flaws),
        )
    return [Wanted(filename=clean_filename(key), object_key=key) for key in keys]


async def request_documents(services: IngestServices, about: Importing, wanted: Sequence[Wanted]) -> AcceptedTask:
    """The task, and a request for each document, enter the log together. Raises Refused and what the log raises."""
    options = about.options
    task = SubmitTask(
        knowledge_base_id=about.knowledge_base_id,
        documents=len(wanted),
        lane=options.lane,
        source=TaskSource.URL if wanted[0].url is not None else TaskSource.OBJECT,
        callback_url=None if options.callback_url is UNSET else options.callback_url,
        not_before_us=options.not_before_us,
        idempotency_key_sha256=None if about.key is None else key_sha256(about.key),
        request_sha256=None if about.key is None else _fingerprint(wanted, options),
    )
    key = request_sidecar_key(about.task_id, services.ids.unique())
    commands = tuple(_command(about, one, key) for one in wanted)
    sidecar = RequestSidecar(format=FORMAT, task_id=about.task_id, actor=about.actor, submit=task, requests=commands)
    async with UnclaimedBlobs(services.blobs) as unclaimed:
        await unclaimed.put(key, encode_request_sidecar(sidecar))
        await expect_callback(services.callbacks, task.callback_url)
        requests = requests_of(about.task_id, task, commands)
        context = services.context(about.task_id, about.actor)
        unclaimed.claim()
        try:
            handled = await handle_together(services.log, requests, context, guard=about.guard)
        except (Refused, Contention, LogFull, InvalidAppend):
            unclaimed.disclaim()
            raise
        if not any(one.envelopes for one in handled):
            unclaimed.disclaim()
    return _answer(about.task_id, handled)


def _command(about: Importing, wanted: Wanted, sidecar: str) -> RequestDocument:
    return RequestDocument(
        knowledge_base_id=about.knowledge_base_id,
        task_id=about.task_id,
        filename=wanted.filename,
        url=wanted.url,
        object_key=wanted.object_key,
        sidecar_blob=sidecar,
        metadata=about.options.metadata,
        lane=about.options.lane,
        not_before_us=about.options.not_before_us,
        on_duplicate=about.options.duplicates,
    )


def _fingerprint(wanted: Sequence[Wanted], options: UploadOptions) -> str:
    places = [f"{one.url or ''}\0{one.object_key or ''}" for one in wanted]
    return parts_sha256(["import", *places, msgspec.json.encode(options, order="deterministic").decode()])


def _answer(task_id: TaskId, handled: Sequence[Handled[Any]]) -> AcceptedTask:
    task, *documents = (one.folded.state for one in handled)
    named = {document_id(task_id, ordinal): state for ordinal, state in enumerate(documents)}
    is_new = any(one.envelopes for one in handled)
    return accepted_task(task_id, task, named, accepted_message(len(named)) if is_new else REPEATED)


async def _take_text(services: IngestServices, about: Importing, text: str, filename: str | None) -> AcceptedTask:
    name = clean_filename(filename) if filename else TEXT_NAME
    content = _encoded(text, services.settings.import_text_bytes_max)
    media_type = await asyncio.to_thread(sniff, content[:SNIFF_BYTES], None, name)
    async with UnclaimedBlobs(services.blobs) as unclaimed:
        source = source_key(document_id(about.task_id, 0), services.ids.unique())
        stored = StoredFile(
            filename=name,
            media_type=media_type if media_type in TEXTS else MediaType.TEXT,
            declared_media_type=None,
            blob=await unclaimed.put(source, content),
        )
        submission = Submission(
            knowledge_base_id=about.knowledge_base_id,
            task_id=about.task_id,
            files=(stored,),
            options=about.options,
            idempotency_key=about.key,
            actor=about.actor,
            guard=about.guard,
            source=TaskSource.TEXT,
        )
        return await submit(services, submission, unclaimed)


def _encoded(text: str, bytes_max: int) -> bytes:
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise invalid("/text", "has characters that are no text") from error
    if len(content) > bytes_max:
        detail = f"A text may have {bytes_max:,} bytes; upload it as a file."
        raise Rejected(ProblemCode.PAYLOAD_TOO_LARGE, detail, (Flaw("/text", f"{len(content):,} bytes"),))
    if not text.strip():
        raise Rejected(ProblemCode.EMPTY_FILE, "The text is empty.", (Flaw("/text", "nothing but white space"),))
    return content
