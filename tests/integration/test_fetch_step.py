"""The fetch step against real HTTP servers, good ones and others, and against an import bucket."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from blobs.memory import MemoryBlobStore
from blobs.objects import MemoryObjects
from domain.commands import CancelDocument, RemoveDocument, RequestDocument, SubmitTask
from domain.deciders import DOCUMENT, TASK
from domain.document import Accepted, Cancelled, DocumentState, Failed, Requested, Skipped, Waiting
from domain.handle import Request, handle_together
from events.document import OnDuplicate, StepFailed, StepStarted
from events.ids import DocumentId, document_id
from events.steps import Step
from outbound.client import OutboundClient
from outbound.limits import Limits
from processors.documents import DocumentDeliveries
from processors.fetch import FetchStep
from processors.knowledge_bases import KnowledgeBases
from processors.watch import look_until
from processors.web_origins import WebOrigins
from tests.outbound_world import guard_over
from tests.servers.scripted_http import Script, ScriptedServer, answer_of, dripping, scripted_server
from tests.unit.processors.mill import Mill

TEXT = b"The mill grinds slowly. " * 100
LIMITS = Limits(body_bytes_max=100_000, connect_s_max=1.0, silence_s_max=0.3, total_s_max=2.0, rate_grace_s=0.2)


class World:
    """A knowledge base in memory, and a worker that may call one server on loopback and nothing else near."""

    def __init__(self, server: ScriptedServer) -> None:
        self.mill = Mill()
        self.blobs = MemoryBlobStore()
        guard = guard_over({"mill.example": ["127.0.0.1"]}, allow=f"127.0.0.1:{server.port}")
        objects = MemoryObjects({"reports/年报.txt": TEXT, "empty": b"", "big": bytes(200_000)})
        self.origins = WebOrigins(
            OutboundClient(guard, limits=LIMITS), objects, slots_per_host=2, clock_us=self.mill.clock
        )
        self.bench = self.mill.bench()
        step = FetchStep(self.blobs, self.origins, bytes_max=100_000, retry_s=10.0, time_limit_s=5.0)
        self.deliveries = DocumentDeliveries(step, self.bench, KnowledgeBases(self.mill.log, clock_us=self.mill.clock))

    async def request(
        self, url: str | None = None, *, object_key: str | None = None, on_duplicate: OnDuplicate = OnDuplicate.SKIP
    ) -> DocumentId:
        task = self.mill.ids.task(self.mill.knowledge_base)
        submitted = SubmitTask(knowledge_base_id=self.mill.knowledge_base, documents=1)
        wanted = RequestDocument(
            knowledge_base_id=self.mill.knowledge_base,
            task_id=task,
            filename="known",
            url=url,
            object_key=object_key,
            on_duplicate=on_duplicate,
        )
        requests: list[Request[Any, Any]] = [
            Request(TASK, task, (submitted,)),
            Request(DOCUMENT, document_id(task, 0), (wanted,)),
        ]
        await handle_together(self.mill.log, requests, self.mill.context(task))
        return document_id(task, 0)

    async def run(self) -> None:
        await self.deliveries.carry_out(await self.mill.take_one(Step.FETCH), 1)

    async def fetched(self, url: str | None = None, **wanted: Any) -> DocumentState:
        document = await self.request(url, **wanted)
        await self.run()
        return await self.mill.document(document)

    async def come_due(self) -> None:
        self.mill.clock.advance(600)
        for partition in range(self.mill.log.partitions):
            await self.mill.inbox.move_due(partition)

    async def sources(self) -> list[str]:
        return [info.key async for info in self.blobs.list("documents/")]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as scripted:
        yield scripted


@pytest.fixture
async def world(server: ScriptedServer) -> AsyncIterator[World]:
    one = World(server)
    yield one
    await one.origins.close()


async def test_a_document_is_fetched_stored_and_told_by_its_content(world: World, server: ScriptedServer) -> None:
    server.answers["/a"] = answer_of(302, location="/files/report?id=7")
    server.answers["/files/report"] = answer_of(200, TEXT, content_type="text/markdown", content_disposition="inline")

    state = await world.fetched(server.url("/a", "mill.example"))

    assert isinstance(state, Accepted)
    about = state.record.about
    assert (about.filename, about.media_type, about.declared_media_type) == (
        "report.md",
        "text/markdown",
        "text/markdown",
    )
    assert (about.size_bytes, about.sha256) == (len(TEXT), hashlib.sha256(TEXT).hexdigest())
    assert await world.blobs.get(about.source_blob) == TEXT
    assert await world.sources() == [about.source_blob]
    assert (await world.mill.depth(Step.PARSE)).waiting == 1


async def test_an_object_of_the_import_bucket_is_fetched_the_same_way(world: World) -> None:
    state = await world.fetched(object_key="reports/年报.txt")

    assert isinstance(state, Accepted)
    assert (state.record.about.filename, state.record.about.media_type) == ("known", "text/plain")
    assert await world.blobs.get(state.record.about.source_blob) == TEXT


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("nothing", "object_missing"),
        ("../outside", "object_key_invalid"),
        ("empty", "empty_document"),
        ("big", "fetch_limit"),
    ],
)
async def test_an_object_that_cannot_be_had_is_a_dead_letter_with_a_reason(world: World, key: str, code: str) -> None:
    state = await world.fetched(object_key=key)
    assert isinstance(state, Failed)
    assert (state.step, state.code) == (Step.FETCH, code)
    assert await world.sources() == []


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"flour " * 1_000)
        await writer.drain()


REJECTED: dict[str, tuple[bytes | Script, str]] = {
    "not found": (answer_of(404), "fetch_failed"),
    "gone": (answer_of(410), "fetch_failed"),
    "a redirect to nowhere": (answer_of(302), "fetch_failed"),
    "no content": (answer_of(204), "empty_document"),
    "no bytes": (answer_of(200), "empty_document"),
    "a program": (answer_of(200, b"\x7fELF\x02\x01" + bytes(70_000)), "unsupported_type"),
    "a small program": (answer_of(200, b"MZ" + bytes(200)), "unsupported_type"),
    "too long": (answer_of(200, b"flour " * 20_000), "fetch_limit"),
    "endless": (endless, "fetch_limit"),
    "a bomb": (answer_of(200, gzip.compress(b"flour " * 1_000_000), content_encoding="gzip"), "fetch_limit"),
    "brotli": (answer_of(200, b"x", content_encoding="br"), "fetch_failed"),
    "a redirect inside": (answer_of(302, location="http://169.254.169.254/latest/"), "url_address_denied"),
    "a redirect to a file": (answer_of(302, location="file:///etc/passwd"), "url_scheme_not_allowed"),
}


@pytest.mark.parametrize(("answer", "code"), REJECTED.values(), ids=REJECTED)
async def test_what_would_be_the_same_again_is_a_dead_letter(
    world: World, server: ScriptedServer, answer: bytes | Script, code: str
) -> None:
    server.answers["/a"] = answer
    state = await world.fetched(server.url("/a"))

    assert isinstance(state, Failed)
    assert (state.step, state.code) == (Step.FETCH, code)
    assert await world.sources() == [], "nothing is left of it"


RETRIED: dict[str, bytes | Script] = {
    "server error": answer_of(500),
    "overloaded": answer_of(503),
    "timeout": answer_of(408),
    "cut short": answer_of(200, b"flour", content_length="10"),
    "slow": dripping(),
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
}


@pytest.mark.parametrize("answer", RETRIED.values(), ids=RETRIED)
async def test_what_may_be_better_later_is_tried_again(
    world: World, server: ScriptedServer, answer: bytes | Script
) -> None:
    server.answers["/a"] = answer
    document = await world.request(server.url("/a"))
    for attempt in range(1, 3):
        await world.run()
        state = await world.mill.document(document)
        assert isinstance(state, Requested)
        assert isinstance(state.activity, Waiting)
        waits_s = (state.activity.retry_at_us - world.mill.clock()) / 1_000_000
        assert 10.0 * 3 ** (attempt - 1) <= waits_s < 10.0 * 3 ** (attempt - 1) + 1
        await world.come_due()
    server.answers["/a"] = answer_of(200, TEXT)
    await world.run()
    assert isinstance(await world.mill.document(document), Accepted)


async def test_a_host_that_wants_a_pause_gets_it(world: World, server: ScriptedServer) -> None:
    server.answers["/a"] = answer_of(429, retry_after="120")
    state = await world.fetched(server.url("/a"))

    assert isinstance(state, Requested)
    assert isinstance(state.activity, Waiting)
    assert state.activity.retry_at_us - world.mill.clock() >= 120_000_000
    server.answers["/a"] = answer_of(200, TEXT)
    await world.come_due()
    await world.run()
    assert len(server.requests) == 2


async def test_an_address_is_checked_again_at_each_attempt(world: World, server: ScriptedServer) -> None:
    server.answers["/a"] = answer_of(503)
    document = await world.request(server.url("/a", "mill.example"))
    await world.run()
    guard = world.origins._outbound._guard
    guard._resolver.answers["mill.example"] = ["10.0.0.1"]  # type: ignore[attr-defined]
    await world.come_due()
    await world.run()

    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == "url_address_denied"
    assert len(server.requests) == 1


async def test_in_the_end_it_is_given_up(world: World, server: ScriptedServer) -> None:
    document = await world.request(server.url("/a"))
    server.answers["/a"] = answer_of(500)
    for _ in range(5):
        await world.run()
        await world.come_due()
    assert isinstance(await world.mill.document(document), Failed)
    history = await world.mill.history(document)
    assert sum(isinstance(event, StepFailed) for event in history) == 4


async def test_bytes_that_are_here_already_are_skipped_replaced_or_kept(world: World, server: ScriptedServer) -> None:
    server.answers["/a"] = answer_of(200, TEXT)
    first = await world.request(server.url("/a"))
    await world.run()

    stored = {info.key async for info in world.blobs.list("")}
    skipped = await world.fetched(server.url("/a"))
    assert isinstance(skipped, Skipped)
    assert {info.key async for info in world.blobs.list("")} == stored, "of what was skipped nothing stays"
    assert skipped.duplicate_of == first
    replacing = await world.fetched(server.url("/a"), on_duplicate=OnDuplicate.REPLACE)
    assert isinstance(replacing, Accepted)
    assert replacing.record.about.replaces == first
    kept = await world.fetched(server.url("/a"), on_duplicate=OnDuplicate.KEEP)
    assert isinstance(kept, Accepted)
    assert kept.record.about.replaces is None


@pytest.mark.parametrize(("wish", "end"), [(CancelDocument(), Cancelled), (RemoveDocument(), object)])
async def test_a_fetch_that_nobody_wants_any_more_stops_and_leaves_nothing(
    world: World, server: ScriptedServer, wish: Any, end: type
) -> None:
    began = asyncio.Event()

    async def hangs(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nflour")
        await writer.drain()
        began.set()
        await asyncio.Event().wait()

    server.answers["/a"] = hangs
    document = await world.request(server.url("/a"))
    ended = asyncio.Event()
    watching = asyncio.create_task(look_until(ended, world.bench.watch, world.mill.log, interval_s=0.01))
    running = asyncio.create_task(world.run())
    await asyncio.wait_for(began.wait(), 20)
    await world.mill.say(document, wish)
    await asyncio.wait_for(running, 20)
    ended.set()
    await watching

    assert isinstance(await world.mill.document(document), end)
    assert await world.sources() == []
    assert sum(isinstance(event, StepStarted) for event in await world.mill.history(document)) == 1
