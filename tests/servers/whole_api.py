"""The product's application on a real Redis and on uvicorn, in a thread of this process, with a small world in it.

No worker and no projector run: the world was made before, by the same deciders, and its views are projected. So what a
test finds is the same from run to run, whatever it sends. Event streams end behind what they have to tell first.
"""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import httpx
import msgspec
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blobs.local import LocalBlobStore
from blobs.store import BlobStore
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.keys import Keys
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from knowledge.chunk import Chunk, chunk_ids, encode_chunks
from knowledge.text import ParsedText
from millstream.api_server import ANSWER_HEADERS
from millstream.app import running_app
from millstream.connection.limits import connection_limits
from millstream.connection.protocol import connections
from millstream.settings import Settings
from outbound.system_resolver import SystemResolver
from projections.redis_views import RedisViews
from tests.projecting import project
from tests.waiting import poll
from tests.workshop import Workshop

PARTITIONS = 2
WARM_S_MAX = 90.0
SOURCE = b"x" * 100


class World(msgspec.Struct, frozen=True):
    """Ids of what there is: a finished task, an open one, and one whose document failed; and what may be deleted."""

    knowledge_base: KnowledgeBaseId
    done: TaskId
    document: DocumentId
    open: TaskId
    waiting: DocumentId
    failed: TaskId
    dead_letter: DocumentId
    spare: KnowledgeBaseId


class WholeApi:
    """A running server. `redis_url` is for whoever looks at the log behind it."""

    def __init__(self, url: str, redis_url: str, world: World) -> None:
        self.url = url
        self.redis_url = redis_url
        self.world = world

    def events(self) -> int:
        """How many facts are in the log now, of all partitions."""

        async def count() -> int:
            async with make_clients(self.redis_url) as clients:
                log = RedisLog(clients.commands, clients.blocking, Keys(PARTITIONS))
                return sum([(await log.head(partition)).number for partition in range(PARTITIONS)])

        return asyncio.run(count())


@contextmanager
def whole_api(redis_url: str, data_dir: Path, settings: Settings | None = None) -> Iterator[WholeApi]:
    """On a Redis that this empties first."""
    asyncio.run(_emptied(redis_url))
    chosen = msgspec.structs.replace(
        settings or Settings(auth="open"),
        redis_url=redis_url,
        data_dir=str(data_dir),
        partitions=PARTITIONS,
        embedding="hash",
        search_wait_s_max=int(WARM_S_MAX),
        reads_per_minute_max=0,
        searches_per_minute_max=0,
        writes_per_minute_max=0,
        auth_failures_per_minute_max=0,
        outbound_allow="127.0.0.0/8",
    )
    # Named as TCP, as the product does: else asyncio leaves Nagle's algorithm on, and each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = _Served(chosen, listening)
        named = patch.object(SystemResolver, "resolve", _here)
        named.start()
        server.start()
        try:
            world = asyncio.run(_made(redis_url, LocalBlobStore(data_dir / "blobs")))
            api = WholeApi(f"http://127.0.0.1:{listening.getsockname()[1]}", redis_url, world)
            _search_once(api)
            yield api
        finally:
            server.stop()
            named.stop()


class _Served:
    """A thread with a loop of its own."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._server: uvicorn.Server | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        poll(lambda: self._is_serving or not self._thread.is_alive(), "the application serves")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()

    @property
    def _is_serving(self) -> bool:
        return self._server is not None and self._server.started

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error

    async def _serve(self) -> None:
        async with running_app(self._settings, asyncio.Event()) as app:
            config = uvicorn.Config(
                _ending_streams(app),
                http=connections(connection_limits(self._settings)),
                headers=ANSWER_HEADERS,
                log_level="warning",
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
            self._server = uvicorn.Server(config)
            await self._server.serve(sockets=[self._listening])


def _ending_streams(app: ASGIApp) -> ASGIApp:
    """Tells the application of an event stream that its client went away, once the first part was sent."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        is_stream, told = False, asyncio.Event()

        async def sending(message: Message) -> None:
            nonlocal is_stream
            await send(message)
            if message["type"] == "http.response.start":
                is_stream = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            elif is_stream:
                told.set()

        async def receiving() -> Message:
            if not is_stream:
                return await receive()
            await told.wait()
            return {"type": "http.disconnect"}

        await app(scope, receiving, sending)

    return served


async def _here(_resolver: SystemResolver, _name: str) -> Sequence[str]:
    """Whatever somebody makes up as the name of a host, nobody elsewhere is asked about it."""
    return ["127.0.0.1"]


def _search_once(api: WholeApi) -> None:
    """The first search waits for what is slow to load, on a busy machine for longer than a client waits."""
    path = f"{api.url}/api/v1/knowledge-bases/{api.world.knowledge_base}/search"
    answer = httpx.post(path, json={"query": "flour"}, timeout=WARM_S_MAX, trust_env=False)
    assert answer.status_code == 200, answer.text


async def _emptied(redis_url: str) -> None:
    async with make_clients(redis_url) as clients:
        await clients.commands.flushall()


async def _stored(blobs: BlobStore, document: DocumentId) -> None:
    """What the workshop says of its documents: a source, a text, three chunks."""
    texts = ["Rye", "Oat", "Bran"]
    chunks = [
        Chunk(one, place, text, 4 * place, 4 * place + len(text), None, (), 1)
        for place, (one, text) in enumerate(zip(chunk_ids(document, texts), texts, strict=True))
    ]
    await blobs.put("source", SOURCE)
    await blobs.put("t", ParsedText(text=" ".join(texts)).encode())
    await blobs.put("c", encode_chunks(chunks))


async def _made(redis_url: str, blobs: BlobStore) -> World:
    async with make_clients(redis_url) as clients:
        keys = Keys(PARTITIONS)
        log = RedisLog(clients.commands, clients.blocking, keys)
        workshop = Workshop(log)
        workshop.sha256 = hashlib.sha256(SOURCE).hexdigest()
        knowledge_base = await workshop.create()
        done, (document,) = await workshop.through(knowledge_base)
        await _stored(blobs, document)
        opened, (waiting,) = await workshop.submit(knowledge_base)
        failed, (dead_letter,) = await workshop.submit(knowledge_base)
        await workshop.fail(dead_letter)
        await workshop.finish(failed)
        spare = await workshop.create("spare")
        await project(log, RedisViews(clients.commands, keys))
        return World(knowledge_base, done, document, opened, waiting, failed, dead_letter, spare)
