"""A chunked document on a mill in memory, with what it takes to embed and index it."""

from collections.abc import Awaitable, Callable, Sequence

from blobs.memory import MemoryBlobStore
from domain.commands import RecordChunked, RecordParsed, StartStep
from events.document import OnDuplicate
from events.ids import DocumentId
from events.inbox import Delivery
from events.steps import Step
from knowledge.chunk import Chunk, chunk_ids, count_tokens, encode_chunks
from knowledge.embedders import Embedder
from knowledge.errors import EmbeddingError
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import IndexRow, IndexTable
from knowledge.memory_index import MemoryIndex
from knowledge.vectors import Vectors
from processors.artifacts import chunks_blob
from processors.documents import DocumentDeliveries
from processors.embed import EmbedStep
from processors.group_commit import GroupCommit
from processors.index import IndexStep
from processors.knowledge_bases import KnowledgeBases
from processors.memory_provider import MemoryProviderGate
from processors.observing import NobodyWatches
from processors.provider import Quota
from processors.revise import Reviser, ReviseStep
from processors.row_budget import RowBudget
from processors.rows import RowMaker, embed_through
from processors.step import Processor
from processors.under_way import UnderWay
from tests.unit.processors.mill import Mill

CHUNKS = 10
BATCH = 4


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked; fails at the call numbers it is told to."""

    def __init__(self, *failures: int) -> None:
        super().__init__(dimensions=8)
        self.batches: list[list[str]] = []
        self._failures = failures

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(list(texts))
        if len(self.batches) in self._failures:
            raise EmbeddingError("provider_500", "try later")
        return await super().embed_passages(texts)


class World:
    """A document that is chunked, on a mill in memory."""

    def __init__(self, embedder: Embedder | None = None, index: MemoryIndex | None = None) -> None:
        self.mill = Mill()
        self.blobs = MemoryBlobStore()
        self.index = index or MemoryIndex()
        self.knowledge_bases = KnowledgeBases(self.mill.log, clock_us=self.mill.clock)
        self.embedder: Embedder = embedder or CountingEmbedder()
        self.gate = MemoryProviderGate(Quota(), clock_us=self.mill.clock)
        self.embed = EmbedStep(
            self.blobs, lambda _: self.embedder, self.gate, self.index, batch_chunks=BATCH, time_limit_s=5
        )
        rows = RowMaker(self.blobs, self.index, embed_through(lambda _: self.embedder, self.gate))
        self.indexing = self.index_step(rows)
        self.revising = ReviseStep(Reviser(self.mill.log, self.index, self.knowledge_bases, rows), time_limit_s=5)
        self.table = IndexTable(self.mill.knowledge_base, 1)

    def index_step(self, rows: RowMaker) -> IndexStep:
        """Whose documents wait for no others."""
        group = GroupCommit(UnderWay(NobodyWatches()), places=1, wait_s=0)
        return IndexStep(
            self.blobs,
            self.index,
            self.knowledge_bases,
            rows,
            group=group,
            budget=RowBudget(1_000),
            time_limit_s=5,
        )

    async def chunked(self, chunks: int = CHUNKS) -> DocumentId:
        await self.mill.create()
        return await self.chunked_too([f"passage {ordinal}" for ordinal in range(chunks)])

    async def chunked_too(self, texts: Sequence[str], *, on_duplicate: OnDuplicate = OnDuplicate.KEEP) -> DocumentId:
        """A further document of the same knowledge base."""
        chunks = len(texts)
        _, (document,) = await self.mill.submit(filename="mill.md", on_duplicate=on_duplicate)
        cut = [
            Chunk(chunk_id, ordinal, text, 0, len(text), None, (), count_tokens(text))
            for ordinal, (chunk_id, text) in enumerate(zip(chunk_ids(document, texts), texts, strict=True))
        ]
        tokens = sum(chunk.tokens for chunk in cut)
        encoded = encode_chunks(cut)
        stored = await self.blobs.put(chunks_blob(document, 1, encoded), encoded)
        await self.mill.say(
            document,
            StartStep(step=Step.PARSE, attempt=1, worker="w"),
            RecordParsed(attempt=1, text_blob="t", parser="p", pages=1, characters=9),
            StartStep(step=Step.CHUNK, attempt=1, worker="w"),
            RecordChunked(attempt=1, chunks_blob=stored.key, chunks=chunks, tokens=tokens, chunker="k"),
        )
        return document

    async def run(self, processor: Processor, delivery: Delivery | None = None) -> None:
        deliveries = DocumentDeliveries(processor, self.mill.bench(), self.knowledge_bases)
        await deliveries.carry_out(delivery or await self.mill.take_one(processor.step), 1)

    async def come_due(self) -> None:
        self.mill.clock.advance(600)
        for partition in range(self.mill.log.partitions):
            await self.mill.inbox.move_due(partition)


class InterruptedIndex(MemoryIndex):
    """Something happens before the rows are written, or between that and the report of it."""

    def __init__(self) -> None:
        super().__init__()
        self.beforehand: list[Callable[[], Awaitable[None]]] = []
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        while self.beforehand:
            await self.beforehand.pop()()
        written = await super().upsert(table, document_id, rows, fence=fence)
        while self.meanwhile:
            await self.meanwhile.pop()()
        return written
