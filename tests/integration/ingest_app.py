"""The routes of ingest on a real server: memory log, local blobs, a free port of the loopback."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import urandom
from pathlib import Path

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from blobs.local import LocalBlobStore
from blobs.store import BlobStore
from domain.access import Bound
from domain.dead_letters import DeadLetter, DeadLetterQuery, dead_letter_of
from domain.deciders import DOCUMENT, knowledge_base_decider
from domain.handle import load
from domain.knowledge_base import active
from domain.knowledge_base_status import KnowledgeBaseCounts, KnowledgeBaseStatus, knowledge_base_status
from events.document import DocumentFailed
from events.envelope import Envelope
from events.ids import DocumentId, IdFactory, KnowledgeBaseId
from events.log import EventLog
from events.memory import MemoryLog
from ingest.answers import exception_handlers
from ingest.memory_uploads import MemoryUploads
from ingest.request_id import RequestIdMiddleware
from ingest.routes import ingest_routes
from ingest.services import DeadLettersOf, EmbeddingModel, IngestServices, StatusOf
from ingest.settings import KIB, IngestSettings
from ingest.tus_version import TusVersionMiddleware
from ingest.unread_body import UnreadBodyMiddleware
from ingest.upload_registry import UploadRegistry
from millstream.api_server import ANSWER_HEADERS
from millstream.connection.limits import ConnectionLimits
from millstream.connection.protocol import connections
from millstream.guard import Guard
from millstream.methods import with_refusals

PARTITIONS = 4
SMALL = IngestSettings(upload_bytes_max=256 * KIB, request_bytes_max=1024 * KIB, files_max=20, fields_max=20)


def now_us() -> int:
    return time.time_ns() // 1_000


def new_ids() -> IdFactory:
    return IdFactory(lambda: now_us() // 1_000, urandom)


def status_reader(log: EventLog) -> StatusOf:
    """A knowledge base as its own stream has it, without documents: the reading side is not under test here."""

    async def status_of(knowledge_base_id: KnowledgeBaseId) -> KnowledgeBaseStatus:
        folded = await load(log, knowledge_base_decider(knowledge_base_id), knowledge_base_id)
        state = active(folded.state)
        return knowledge_base_status(
            knowledge_base_id, state, KnowledgeBaseCounts(), version=folded.version, updated_at_us=state.changed_at_us
        )

    return status_of


def dead_letters_of(log: EventLog) -> DeadLettersOf:
    """Every document of the log that failed, the oldest first: the reading side is not under test here."""

    async def dead_letters(query: DeadLetterQuery, _bound: Bound) -> AsyncIterator[DeadLetter]:
        for partition in range(PARTITIONS):
            facts = [one for one in await log.read(partition) if isinstance(one, Envelope)]
            failed = [DocumentId(one.stream_id) for one in facts if isinstance(one.event, DocumentFailed)]
            for document in dict.fromkeys(failed):
                state = (await load(log, DOCUMENT, document)).state
                letter = dead_letter_of(document, state)
                if letter is not None and query.takes(state):
                    yield letter

    return dead_letters


def make_services(
    root: Path,
    settings: IngestSettings = SMALL,
    *,
    log: EventLog | None = None,
    blobs: BlobStore | None = None,
    uploads: UploadRegistry | None = None,
) -> IngestServices:
    log = log if log is not None else MemoryLog(partitions=PARTITIONS, clock_us=now_us)
    return IngestServices(
        log=log,
        blobs=blobs or LocalBlobStore(root),
        uploads=uploads or MemoryUploads(),
        ids=new_ids(),
        clock_us=now_us,
        actor_of=lambda _request: "anonymous",
        known_embedding={
            "": EmbeddingModel("local", 512),
            "local": EmbeddingModel("local", 512),
            "hash": EmbeddingModel("hash", 64),
        }.get,
        status_of=status_reader(log),
        settings=settings,
    )


def make_app(services: IngestServices) -> Starlette:
    routes = ingest_routes(services, dead_letters_of(services.log))
    app = Starlette(
        routes=with_refusals(routes),
        exception_handlers=exception_handlers(),
        middleware=[
            Middleware(RequestIdMiddleware, new_request_id=services.ids.unique),
            Middleware(TusVersionMiddleware),
            Middleware(UnreadBodyMiddleware),
            Middleware(Guard, allowed_hosts=["mill"]),
        ],
    )
    app.router.redirect_slashes = False  # a redirect would be an answer without a problem document
    return app


class Requests:
    """An application that counts the requests that it is done with: a client that went away learns it nowhere else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._changed = asyncio.Condition()
        self._gate = asyncio.Event()
        self._gate.set()
        self.begun = 0
        self.ended = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._changed:
            self.begun += 1
            self._changed.notify_all()
        await self._gate.wait()
        try:
            await self._app(scope, receive, send)
        finally:
            async with self._changed:
                self.ended += 1
                self._changed.notify_all()

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Requests that come meanwhile wait at the door."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    async def wait_for_begun(self, count: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.begun >= count)

    async def wait_until_idle(self) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.ended == self.begun)

    async def wait_for_ended(self, count: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.ended >= count)


@asynccontextmanager
async def serving(app: ASGIApp, limits: ConnectionLimits | None = None) -> AsyncIterator[int]:
    """The port of the running server; its signal handlers and its ticking loop are left out."""
    # With its protocol named: asyncio turns Nagle's algorithm off for such sockets alone, and each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=connections(limits or ConnectionLimits()),
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        headers=ANSWER_HEADERS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    server.server_state.default_headers = config.encoded_headers  # what its ticking loop does, with the date
    await server.startup(sockets=[listener])
    try:
        yield port
    finally:
        await server.shutdown(sockets=[listener])


class Mill:
    """The server as a test sees it, with what lies behind it."""

    def __init__(self, services: IngestServices, requests: Requests, port: int, client: httpx.AsyncClient) -> None:
        self.services = services
        self.requests = requests
        self.port = port
        self.client = client

    async def knowledge_base(self, name: str = "Handbook", **headers: str) -> KnowledgeBaseId:
        answer = await self.client.post("/api/v1/knowledge-bases", json={"name": name}, headers=headers)
        assert answer.status_code == 201, answer.text
        return KnowledgeBaseId(answer.json()["knowledge_base_id"])

    async def facts(self) -> list[Envelope]:
        """Everything in the log."""
        pages = [await self.services.log.read(partition) for partition in range(PARTITIONS)]
        return [entry for page in pages for entry in page if isinstance(entry, Envelope)]

    async def blobs(self) -> dict[str, bytes]:
        return {info.key: await self.services.blobs.get(info.key) async for info in self.services.blobs.list("")}

    async def send_raw(self, request: bytes, *, half_close: bool = False) -> bytes:
        """What a socket answers to these bytes, up to its close or a whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            if half_close:
                writer.write_eof()
            return await _read_answer(reader)
        finally:
            writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = b""
    async with asyncio.timeout(10):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            return head + await reader.readexactly(length)
        except asyncio.IncompleteReadError as cut_short:
            return head + cut_short.partial


@asynccontextmanager
async def running_mill(services: IngestServices, limits: ConnectionLimits | None = None) -> AsyncIterator[Mill]:
    requests = Requests(make_app(services))
    async with (
        serving(requests, limits) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        yield Mill(services, requests, port, client)
    await services.blobs.close()


def problem_of(answer: bytes) -> tuple[int, dict[str, object]]:
    """Status and problem document of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    document: dict[str, object] = msgspec.json.decode(body)
    return int(head.split(b" ")[1]), document
