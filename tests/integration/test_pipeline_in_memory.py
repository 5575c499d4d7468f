"""From an accepted upload to search results: a real worker with real parse children, stores in memory."""

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from blobs.memory import MemoryBlobStore
from domain.commands import AcceptDocument, CreateKnowledgeBase, DeleteKnowledgeBase, RequestDocument, SubmitTask
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import DocumentState, Erased, Failed, Indexed, Skipped
from domain.handle import Context, Request, handle, handle_together, load
from domain.task import FinishedTask, TaskOutcome
from events.document import DocumentErased, StepStarted
from events.envelope import Envelope, Event
from events.ids import DocumentId, IdFactory, KnowledgeBaseId, TaskId, document_id, partition_of
from events.inbox import InboxDepth, InboxKey
from events.knowledge_base import KnowledgeBaseSettings
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Lane, Step
from events.task import TaskFinished, TaskSource
from knowledge.chunkers import Chunker, ChunkerKind, ChunkerOptions, make_chunker
from knowledge.filenames import filename_of_url
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import IndexTable
from knowledge.media_type import MediaType
from knowledge.memory_index import MemoryIndex
from outbound.client import OutboundClient
from processors.origins import Origins
from processors.sandbox import Sandbox, SandboxSettings
from processors.settings import WorkerSettings
from processors.web_origins import WebOrigins
from processors.worker import Worker
from tests.outbound_world import guard_over
from tests.searched import search_keyword, search_vector
from tests.servers.scripted_http import answer_of, scripted_server

PARTITIONS = 2
SETTINGS = WorkerSettings(
    take_wait_ms=50, timer_interval_ms=20, claim_interval_ms=100, heartbeat_ms=100, lease_ms=2_000, drain_s=5
)
File = tuple[str, MediaType, bytes]

HANDBOOK: File = (
    "handbook.md",
    MediaType.MARKDOWN,
    b"# Safety\n\nStop the millstones before you clear the hopper.\n\n# Grades\n\nBran is sold by the sack.\n",
)
CHINESE: File = (
    "石磨.html",
    MediaType.HTML,
    "<html><body><h1>石磨</h1><p>清理料斗之前先停磨。</p></body></html>".encode(),
)
BROKEN: File = ("broken.pdf", MediaType.PDF, b"%PDF-1.7 this is not a PDF at all")


def now_us() -> int:
    return time.time_ns() // 1_000


def chunker_for(settings: KnowledgeBaseSettings) -> Chunker:
    return make_chunker(
        ChunkerKind(settings.chunker.value),
        ChunkerOptions(size_tokens=settings.chunk_tokens, overlap_tokens=settings.chunk_overlap_tokens),
    )


class World:
    """The stores, and what a client and an operator do to them."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=now_us)
        self.inbox = MemoryInbox(self.log)
        self.blobs = MemoryBlobStore()
        self.index = MemoryIndex()
        self.ids = IdFactory(lambda: now_us() // 1_000, secrets.token_bytes)
        self.embedder = HashEmbedder()
        self.knowledge_base = self.ids.knowledge_base(PARTITIONS)
        self.documents: list[DocumentId] = []

    def worker(self, sandbox: Sandbox, name: str = "worker-1", origins: Origins | None = None) -> Worker:
        return Worker(
            name=name,
            log=self.log,
            inbox=self.inbox,
            blobs=self.blobs,
            index=self.index,
            embedder_for=lambda _: self.embedder,
            chunker_for=chunker_for,
            parser=sandbox,
            documents_of=self.documents_of,
            clock_us=now_us,
            ids=self.ids,
            rng=random.Random(1),  # noqa: S311  jitter
            settings=SETTINGS,
            origins=origins,
        )

    async def documents_of(self, knowledge_base: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]:
        assert knowledge_base == self.knowledge_base
        for document in self.documents:
            yield document

    async def create(self) -> None:
        await self.say_to_knowledge_base(CreateKnowledgeBase(name="mill"))

    async def say_to_knowledge_base(self, command: CreateKnowledgeBase | DeleteKnowledgeBase) -> None:
        decider = knowledge_base_decider(self.knowledge_base)
        await handle(self.log, decider, self.knowledge_base, [command], self.context(self.knowledge_base))

    async def upload(self, files: Sequence[File]) -> tuple[TaskId, list[DocumentId]]:
        task = self.ids.task(self.knowledge_base)
        submitted = SubmitTask(knowledge_base_id=self.knowledge_base, documents=len(files))
        names = [document_id(task, ordinal) for ordinal in range(len(files))]
        accepted = [await self.accept(task, name, file) for name, file in zip(names, files, strict=True)]
        await handle_together(self.log, [Request(TASK, task, (submitted,)), *accepted], self.context(task))
        self.documents.extend(names)
        return task, names

    async def request(self, urls: Sequence[str]) -> tuple[TaskId, list[DocumentId]]:
        """As an import does it."""
        task = self.ids.task(self.knowledge_base)
        submitted = SubmitTask(knowledge_base_id=self.knowledge_base, documents=len(urls), source=TaskSource.URL)
        names = [document_id(task, ordinal) for ordinal in range(len(urls))]
        commands = [
            RequestDocument(knowledge_base_id=self.knowledge_base, task_id=task, filename=filename_of_url(url), url=url)
            for url in urls
        ]
        wanted = [Request(DOCUMENT, name, (command,)) for name, command in zip(names, commands, strict=True)]
        await handle_together(self.log, [Request(TASK, task, (submitted,)), *wanted], self.context(task))
        self.documents.extend(names)
        return task, names

    async def accept(self, task: TaskId, document: DocumentId, file: File) -> Request[Any, Any]:
        filename, media_type, data = file
        stored = await self.blobs.put(f"documents/{document}/source@1", data)
        command = AcceptDocument(
            knowledge_base_id=self.knowledge_base,
            task_id=task,
            filename=filename,
            media_type=media_type.value,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            source_blob=stored.key,
            metadata={"site": "north"},
        )
        return Request(DOCUMENT, document, (command,))

    def context(self, correlation_id: str) -> Context:
        return Context(clock_us=now_us, new_event_id=self.ids.event, correlation_id=correlation_id)

    async def until(self, kind: type[Event], count: int = 1) -> None:
        after, seen = None, 0
        async with asyncio.timeout(60):
            while seen < count:
                for entry in await self.log.read(partition_of(self.knowledge_base), after=after, wait_ms=1_000):
                    after = entry.position
                    seen += isinstance(entry, Envelope) and isinstance(entry.event, kind)

    async def state(self, document: str) -> DocumentState:
        return (await load(self.log, DOCUMENT, document)).state

    async def depths(self) -> set[InboxDepth]:
        partition = partition_of(self.knowledge_base)
        return {await self.inbox.depth(InboxKey(partition, step, lane)) for step in Step for lane in Lane}


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(SandboxSettings(children_max=2))
    yield sandbox
    await sandbox.close()


async def test_good_documents_become_searchable_and_a_bad_one_fails_alone(sandbox: Sandbox) -> None:
    world = World()
    await world.create()
    async with working(world.worker(sandbox)):
        task, (handbook, broken, chinese) = await world.upload([HANDBOOK, BROKEN, CHINESE])
        await world.until(TaskFinished)
    table = IndexTable(world.knowledge_base, 1)
    (hit, *_) = await search_keyword(world.index, table, "clear the hopper", limit=3)
    assert (hit.document_id, hit.filename, hit.metadata) == (handbook, "handbook.md", {"site": "north"})
    (hit, *_) = await search_keyword(world.index, table, "停磨", limit=3)
    assert hit.document_id == chinese
    (hit, *_) = await search_vector(world.index, table, await world.embedder.embed_query("millstones hopper"), limit=1)
    assert hit.document_id == handbook
    assert isinstance(await world.state(handbook), Indexed)
    failed = await world.state(broken)
    assert isinstance(failed, Failed)
    assert (failed.step, failed.code) == (Step.PARSE, "parse_failed")
    finished = (await load(world.log, TASK, task)).state
    assert isinstance(finished, FinishedTask)
    assert finished.outcome is TaskOutcome.PARTIAL
    assert await world.depths() == {InboxDepth(waiting=0, pending=0)}


async def test_documents_are_fetched_parsed_and_found_and_duplicates_skipped(sandbox: Sandbox) -> None:
    world = World()
    await world.create()
    async with scripted_server() as server:
        server.answers["/handbook"] = answer_of(302, location="/files/handbook.md")
        server.answers["/files/handbook.md"] = answer_of(200, HANDBOOK[2], content_type="text/markdown")
        server.answers["/%E7%9F%B3%E7%A3%A8"] = answer_of(200, CHINESE[2], content_type="text/html")
        guard = guard_over({}, allow=f"127.0.0.1:{server.port}")
        origins = WebOrigins(OutboundClient(guard), None, slots_per_host=2, clock_us=now_us)
        urls = [server.url(path) for path in ("/handbook", "/files/handbook.md", "/石磨", "/nothing")]
        async with working(world.worker(sandbox, origins=origins)):
            task, (first, second, chinese, missing) = await world.request(urls)
            await world.until(TaskFinished)
        await origins.close()
    table = IndexTable(world.knowledge_base, 1)
    (hit, *_) = await search_keyword(world.index, table, "clear the hopper", limit=3)
    assert (hit.document_id, hit.filename) in {(first, "handbook.md"), (second, "handbook.md")}
    (hit, *_) = await search_keyword(world.index, table, "停磨", limit=3)
    assert (hit.document_id, hit.filename) == (chinese, "石磨.html")
    assert {type(await world.state(one)) for one in (first, second)} == {Indexed, Skipped}
    failed = await world.state(missing)
    assert isinstance(failed, Failed)
    assert (failed.step, failed.code) == (Step.FETCH, "fetch_failed")
    finished = (await load(world.log, TASK, task)).state
    assert isinstance(finished, FinishedTask)
    assert finished.outcome is TaskOutcome.PARTIAL
    assert await world.depths() == {InboxDepth(waiting=0, pending=0)}


async def test_two_workers_do_every_step_of_every_document_once(sandbox: Sandbox) -> None:
    world = World()
    await world.create()
    files: list[File] = [
        (f"{number}.txt", MediaType.TEXT, f"Sack number {number} holds flour.".encode()) for number in range(60)
    ]
    async with working(world.worker(sandbox)), working(world.worker(sandbox, "worker-2")):
        for start in range(0, len(files), 20):
            await world.upload(files[start : start + 20])
        await world.until(TaskFinished, 3)
    entries = await world.log.read(partition_of(world.knowledge_base), limit=10_000)
    events = [entry.event for entry in entries if isinstance(entry, Envelope)]
    starts = [event for event in events if isinstance(event, StepStarted)]
    assert len(starts) == 4 * len(files)
    assert {start.attempt for start in starts} == {1}
    assert await world.index.count(IndexTable(world.knowledge_base, 1)) == len(files)
    assert await world.depths() == {InboxDepth(waiting=0, pending=0)}


async def test_a_deleted_knowledge_base_leaves_no_row_and_no_blob(sandbox: Sandbox) -> None:
    world = World()
    await world.create()
    async with working(world.worker(sandbox)):
        await world.upload([HANDBOOK, CHINESE])
        await world.until(TaskFinished)
        await world.say_to_knowledge_base(DeleteKnowledgeBase())
        await world.until(DocumentErased, 2)
    assert all([isinstance(await world.state(document), Erased) for document in world.documents])
    assert [info.key async for info in world.blobs.list("documents/")] == []
    assert await world.index.count(IndexTable(world.knowledge_base, 1)) == 0


async def test_a_stopped_worker_leaves_the_rest_to_the_next_one(sandbox: Sandbox) -> None:
    world = World()
    await world.create()
    files: list[File] = [(f"{n}.txt", MediaType.TEXT, f"Sack {n}".encode()) for n in range(40)]
    async with working(world.worker(sandbox)):
        await world.upload(files)
        await world.until(StepStarted, 10)
    async with working(world.worker(sandbox, "worker-2")):
        await world.until(TaskFinished)
    assert await world.index.count(IndexTable(world.knowledge_base, 1)) == len(files)
    assert await world.depths() == {InboxDepth(waiting=0, pending=0)}
