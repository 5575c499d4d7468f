"""A mill with the chunk step and all behind it, whose models follow the settings; and what works on documents again."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from domain.commands import RecordParsed, StartStep
from domain.deciders import knowledge_base_decider
from domain.handle import load
from domain.knowledge_base import ActiveKnowledgeBase
from events.ids import DocumentId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from knowledge.chunk import Chunk, chunk_ids
from knowledge.chunkers import Chunker
from knowledge.embedders import NO_PREFIXES, Embedder, Embedding
from knowledge.index import IndexTable
from knowledge.prefixed_embedder import PrefixedEmbedder
from knowledge.text import ParsedText
from millstream.reading.stored import StoredDocuments
from millstream.reworking.comparison import Comparison
from millstream.reworking.reindex import ReindexBody, Reindexing, ReindexStatus
from millstream.reworking.reprocess import Reprocessed, Reprocessing, ReprocessManyBody
from processors.artifacts import text_blob
from processors.chunk import ChunkStep
from processors.embed import EmbedStep
from processors.embedder_for import embedding_of
from processors.errands import ErrandDeliveries
from processors.provider_calls import ProviderCalls
from processors.rows import RowMaker, embed_through
from processors.step import Processor
from projections.cursors import Cursors
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.projecting import project
from tests.searched import search_keyword
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.unit.processors import chunked_document
from tests.unit.processors.chunked_document import CountingEmbedder


class WordChunker:
    """Cuts at blanks, or at lines where chunks are large."""

    name = "words"

    def __init__(self, settings: KnowledgeBaseSettings) -> None:
        self._mark = None if settings.chunk_tokens < 256 else "\n"

    def chunk(
        self, text: ParsedText, *, document_id: str, chunks_max: int, turns: Sequence[int] = ()
    ) -> tuple[Chunk, ...]:
        parts = text.text.split(self._mark)
        ids = chunk_ids(document_id, parts)
        return tuple(
            Chunk(one, place, part, 0, len(part), None, (), 1)
            for place, (one, part) in enumerate(zip(ids, parts, strict=True))
        )


class World(chunked_document.World):
    """A mill whose models follow the settings, its views, and what brings indexes on."""

    def __init__(self, chunker_for: Callable[[KnowledgeBaseSettings], Chunker] = WordChunker) -> None:
        super().__init__(CountingEmbedder())
        self.models = {"local": CountingEmbedder(), "hash": CountingEmbedder()}
        self.models["local"].model = "local"

        def embedder_for(embedding: Embedding) -> Embedder:
            embedder = self.models.get(embedding.model, self.models["local"])
            prefixes = embedding.prefixes
            return embedder if prefixes == NO_PREFIXES else PrefixedEmbedder(embedder, prefixes)

        log, clock = self.mill.log, self.mill.clock
        rows = RowMaker(self.blobs, self.index, embed_through(embedder_for, self.gate))

        def calls_for(settings: KnowledgeBaseSettings) -> ProviderCalls:
            return ProviderCalls(embedder_for(embedding_of(settings)), self.gate, sleep=asyncio.sleep, texts_max=9)

        self.cut = ChunkStep(self.blobs, chunker_for, calls_for, chunks_max=99, time_limit_s=5)
        self.embed = EmbedStep(self.blobs, embedder_for, self.gate, self.index, batch_chunks=9, time_limit_s=5)
        self.indexing = self.index_step(rows)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        queries = Queries(log, self.views)
        lists = Lists(log, self.views, queries, Cursors(b"s" * 16))
        services = services_in_memory(log, self.mill.ids, clock, blobs=self.blobs)
        self.reindexing = Reindexing(services, lists, queries)

        async def ready() -> None:
            """The index is in memory."""

        comparison = Comparison(
            log, StoredDocuments(log, self.blobs), self.index, chunker_for, lambda _: self.models["local"], ready
        )
        self.reprocessing = Reprocessing(services, lists, comparison.of)

    async def upload(self, text: str) -> DocumentId:
        """To the door of the chunk step."""
        _, (document,) = await self.mill.submit(filename="mill.md")
        encoded = ParsedText(text=text).encode()
        stored = await self.blobs.put(text_blob(document, 1, encoded), encoded)
        await self.mill.say(
            document,
            StartStep(step=Step.PARSE, attempt=1, worker="w"),
            RecordParsed(attempt=1, text_blob=stored.key, parser="p", pages=1, characters=9),
        )
        return document

    async def work(self, *steps: Step) -> None:
        """Everything that waits at these steps (all where none is named), one after the other."""
        self.mill.clock.advance(2)
        processors: dict[Step, Processor] = {Step.CHUNK: self.cut, Step.EMBED: self.embed, Step.INDEX: self.indexing}
        for step in steps or processors:
            for delivery in await self.mill.take(step, count=99):
                await self.run(processors[step], delivery)
        for delivery in await self.mill.take(Step.REVISE, count=99):
            assert await ErrandDeliveries(self.revising, self.mill.bench()).carry_out(delivery, 1) is None
        await project(self.mill.log, self.views)

    async def start(self, key: str | None = None, **settings: Any) -> ReindexStatus:
        return await self.reindexing.start(self.mill.knowledge_base, ReindexBody(settings=settings), key, "tests")

    async def advance(self) -> ReindexStatus:
        self.mill.clock.advance(2)
        await project(self.mill.log, self.views)
        return await self.reindexing.advance(self.mill.knowledge_base, "tests")

    async def base(self) -> ActiveKnowledgeBase:
        decider = knowledge_base_decider(self.mill.knowledge_base)
        state = (await load(self.mill.log, decider, self.mill.knowledge_base)).state
        assert isinstance(state, ActiveKnowledgeBase)
        return state

    async def found(self, words: str) -> list[str]:
        """As a search finds it now."""
        table = IndexTable(self.mill.knowledge_base, (await self.base()).generation)
        return sorted(hit.chunk.text for hit in await search_keyword(self.index, table, words, limit=99))

    async def reprocess(self, key: str | None = None, **asked: Any) -> Reprocessed:
        await project(self.mill.log, self.views)
        return await self.reprocessing.run(self.mill.knowledge_base, ReprocessManyBody(**asked), key, "tests")

    @property
    def embedded(self) -> list[str]:
        """Every text that the default model was asked for."""
        return [text for batch in self.models["local"].batches for text in batch]
