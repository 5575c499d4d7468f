"""Chunked documents of a knowledge base, and workers that embed them with a provider over HTTP."""

import asyncio
import hashlib
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from blobs.memory import MemoryBlobStore
from domain.commands import (
    AcceptDocument,
    CreateKnowledgeBase,
    DocumentCommand,
    RecordChunked,
    RecordParsed,
    StartStep,
    SubmitTask,
)
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import DocumentState, Embedded, Failed
from domain.handle import Context, Request, handle, handle_together, load
from events.document import StepStarted
from events.ids import DocumentId, IdFactory, KnowledgeBaseId, document_id
from events.keys import Keys
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.redis_clients import Clients
from events.steps import Step
from knowledge.chunk import Chunk, chunk_ids, encode_chunks
from knowledge.hash_embedder import HashEmbedder
from knowledge.memory_index import MemoryIndex
from knowledge.openai_embedder import OpenAIEmbedder
from processors.provider import Quota
from processors.redis_provider import RedisProviderGate
from processors.retry import RetryPolicy
from processors.sandbox import Sandbox, SandboxSettings
from processors.settings import WorkerSettings
from processors.stored import load_vectors
from processors.worker import Worker
from tests.integration.test_pipeline_in_memory import chunker_for, now_us
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider
from tests.waiting import wait_for

CONVERGE_S = 15.0
"""After the last fault is over every document is done."""

SETTINGS = WorkerSettings(
    take_wait_ms=50,
    timer_interval_ms=20,
    claim_interval_ms=100,
    heartbeat_ms=100,
    lease_ms=2_000,
    drain_s=5,
    embed_slots=2,
    retry=RetryPolicy(base_s=0.05, cap_s=2.0),
)


class World:
    """Chunked documents, and workers that embed them."""

    def __init__(self, provider: EmbeddingProvider, clients: Clients, quota: Quota, timeout_s: float) -> None:
        self.log = MemoryLog(partitions=1, clock_us=now_us)
        self.inbox = MemoryInbox(self.log)
        self.blobs = MemoryBlobStore()
        self.index = MemoryIndex()
        self.ids = IdFactory(lambda: now_us() // 1_000, secrets.token_bytes)
        self.knowledge_base = self.ids.knowledge_base(1)
        self.documents: list[DocumentId] = []
        self.clients = clients
        self.quota = quota
        self.embedder = OpenAIEmbedder(
            base_url=provider.base_url,
            api_key=None,
            model="m",
            dimensions=DIMENSIONS,
            batch_texts=8,
            timeout_s=timeout_s,
        )

    def worker(self, name: str) -> Worker:
        return Worker(
            name=name,
            log=self.log,
            inbox=self.inbox,
            blobs=self.blobs,
            index=self.index,
            embedder_for=lambda _: self.embedder,
            chunker_for=chunker_for,
            parser=Sandbox(SandboxSettings()),
            documents_of=self.documents_of,
            clock_us=now_us,
            ids=self.ids,
            rng=random.Random(name),  # noqa: S311  jitter
            settings=SETTINGS,
            steps={Step.EMBED},
            gate=RedisProviderGate(self.clients.commands, Keys(1), self.quota),
        )

    async def documents_of(self, _: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]:
        for document in self.documents:
            yield document

    async def chunked(self, documents: Sequence[Sequence[str]]) -> list[DocumentId]:
        context = Context(clock_us=now_us, new_event_id=self.ids.event, correlation_id=self.knowledge_base)
        decider = knowledge_base_decider(self.knowledge_base)
        await handle(self.log, decider, self.knowledge_base, [CreateKnowledgeBase(name="mill")], context)
        task = self.ids.task(self.knowledge_base)
        submitted = SubmitTask(knowledge_base_id=self.knowledge_base, documents=len(documents))
        await handle_together(self.log, [Request(TASK, task, (submitted,))], context)
        names = [document_id(task, ordinal) for ordinal in range(len(documents))]
        for name, texts in zip(names, documents, strict=True):
            cut = [
                Chunk(chunk_id, ordinal, text, 0, len(text), None, (), 2)
                for ordinal, (chunk_id, text) in enumerate(zip(chunk_ids(name, texts), texts, strict=True))
            ]
            blob = (await self.blobs.put(f"documents/{name}/chunks@1", encode_chunks(cut))).key
            accepted = AcceptDocument(
                knowledge_base_id=self.knowledge_base,
                task_id=task,
                filename="a.txt",
                media_type="text/plain",
                size_bytes=1,
                sha256=hashlib.sha256(name.encode()).hexdigest(),
                source_blob="s",
            )
            chunked = RecordChunked(attempt=1, chunks_blob=blob, chunks=len(texts), tokens=2 * len(texts), chunker="k")
            commands: list[DocumentCommand] = [
                accepted,
                StartStep(step=Step.PARSE, attempt=1, worker="w"),
                RecordParsed(attempt=1, text_blob="t", parser="p", pages=1, characters=9),
                StartStep(step=Step.CHUNK, attempt=1, worker="w"),
                chunked,
            ]
            await handle(self.log, DOCUMENT, name, commands, context)
        return names

    async def state(self, name: DocumentId) -> DocumentState:
        return (await load(self.log, DOCUMENT, name)).state

    async def ended(self, names: Sequence[DocumentId], within_s: float = CONVERGE_S) -> list[DocumentState]:
        async def are_ended() -> bool:
            return all([isinstance(await self.state(name), Embedded | Failed) for name in names])

        await wait_for(are_ended, "every document is embedded or failed", within_s)
        return [await self.state(name) for name in names]

    async def check_vectors(self, names: Sequence[DocumentId], documents: Sequence[Sequence[str]]) -> None:
        """Every document is embedded, with the vectors that its texts have."""
        for name, texts in zip(names, documents, strict=True):
            state = await self.state(name)
            assert isinstance(state, Embedded), state
            vectors = await load_vectors(self.blobs, state.batches)
            expected = await HashEmbedder(dimensions=DIMENSIONS).embed_passages(texts)
            assert abs(vectors - expected).max() < 1e-5

    async def attempts(self, name: DocumentId) -> int:
        history = await self.log.history(name)
        return sum(isinstance(one.event, StepStarted) and one.event.step is Step.EMBED for one in history)


@asynccontextmanager
async def working(world: World, workers: int = 2) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        for number in range(workers):
            running = asyncio.create_task(world.worker(f"worker-{number}").run(stop))
            stack.push_async_callback(asyncio.wait_for, running, None)
        try:
            yield
        finally:
            stop.set()


def texts(documents: int, chunks: int) -> list[list[str]]:
    return [[f"document {number} passage {place}" for place in range(chunks)] for number in range(documents)]
