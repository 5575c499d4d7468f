"""Another index is built beside the one that serves, and takes its place from one moment to the next."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from domain.commands import (
    ChangeDocument,
    EditChunk,
    FailStep,
    RecordParsed,
    RemoveDocument,
    StartStep,
)
from domain.deciders import knowledge_base_decider
from domain.document import Failed, Indexed
from domain.errors import RefusalCode, Refused
from domain.handle import load
from domain.knowledge_base import GENERATION_ENDED, ActiveKnowledgeBase
from events.ids import DocumentId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from ingest.problems import Rejected
from knowledge.chunk import Chunk, chunk_ids
from knowledge.index import IndexTable
from knowledge.text import ParsedText
from millstream.reworking.reindex import ReindexBody, Reindexing, ReindexStatus
from processors.artifacts import text_blob
from processors.chunk import ChunkStep
from processors.embed import EmbedStep
from processors.errands import ErrandDeliveries
from processors.index import IndexStep
from processors.provider_calls import ProviderCalls
from processors.rows import RowMaker, embed_through
from processors.step import Processor
from projections.cursors import Cursors
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.projecting import project
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.unit.processors import chunked_document
from tests.unit.processors.chunked_document import CountingEmbedder

SMALLER: dict[str, Any] = {"chunk_tokens": 128}


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

    def __init__(self) -> None:
        super().__init__(CountingEmbedder())
        self.models = {"local": CountingEmbedder(), "hash": CountingEmbedder()}

        def embedder_for(settings: KnowledgeBaseSettings) -> CountingEmbedder:
            return self.models.get(settings.embedding_model, self.models["local"])

        log, clock = self.mill.log, self.mill.clock
        rows = RowMaker(self.blobs, self.index, embed_through(embedder_for, self.gate))

        def calls_for(settings: KnowledgeBaseSettings) -> ProviderCalls:
            return ProviderCalls(embedder_for(settings), self.gate, sleep=asyncio.sleep, texts_max=9)

        self.cut = ChunkStep(self.blobs, WordChunker, calls_for, chunks_max=99, time_limit_s=5)
        self.embed = EmbedStep(self.blobs, embedder_for, self.gate, self.index, batch_chunks=9, time_limit_s=5)
        self.indexing = IndexStep(self.blobs, self.index, self.knowledge_bases, rows, time_limit_s=5)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        queries = Queries(log, self.views)
        lists = Lists(log, self.views, queries, Cursors(b"s" * 16))
        services = services_in_memory(log, self.mill.ids, clock, blobs=self.blobs)
        self.reindexing = Reindexing(services, lists, queries)

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
        return sorted(hit.chunk.text for hit in await self.index.search_keyword(table, words, limit=99))


@pytest.fixture
async def world() -> World:
    made = World()
    await made.mill.create(KnowledgeBaseSettings(embedding_model="local", embedding_dimensions=None))
    made.documents = [await made.upload("rye flour\nwheat flour"), await made.upload("oat flour")]  # type: ignore[attr-defined]
    await made.work()
    return made


async def test_searches_read_the_old_index_until_the_last_document_is_in_the_new_one(world: World) -> None:
    before = await world.found("flour")
    started = await world.start(**SMALLER)
    assert (started.building, started.waiting, len(started.tasks)) == (2, 2, 1)
    first, second = await world.mill.take(Step.CHUNK, count=2)
    for processor, delivery in ((world.cut, first), (world.embed, None), (world.indexing, None)):
        await world.run(processor, delivery)
    half = await world.advance()
    assert (half.building, half.done, half.open, await world.found("flour")) == (2, 1, 1, before)
    await world.run(world.cut, second)
    await world.work(Step.EMBED, Step.INDEX)
    whole = await world.advance()
    assert (whole.building, whole.generation, whole.done) == (None, 2, 2)
    assert await world.found("flour") == ["flour", "flour", "flour"]
    assert (await world.base()).settings.chunk_tokens == 128
    assert before == ["oat flour", "rye flour", "wheat flour"]


async def test_a_new_model_embeds_all_and_vectors_of_the_same_model_are_reused(world: World) -> None:
    other = world.models["hash"]
    await world.start(embedding_model="hash")
    await world.work()
    await world.advance()
    assert sorted(text for batch in other.batches for text in batch) == ["oat flour", "rye flour", "wheat flour"]
    asked = len(other.batches)
    long = await world.upload("\n".join(f"sack {number}" for number in range(6)))
    await world.work()
    batches = len(other.batches)
    await world.start()
    await world.work()
    await world.advance()
    state = await world.mill.document(long)
    assert isinstance(state, Indexed)
    assert (state.generation, sum(batch.chunks_reused for batch in state.batches)) == (3, 6)
    assert batches > asked


async def test_an_upload_meanwhile_is_found_at_once_and_brought_along(world: World) -> None:
    await world.start(**SMALLER)
    document = await world.upload("barley flour")
    await world.work()
    assert "barley flour" in await world.found("flour")
    assert (await world.advance()).building == 2
    await world.work()
    assert (await world.advance()).generation == 2
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert (state.generation, "barley" in await world.found("barley")) == (2, True)


async def test_a_straggler_that_was_under_way_at_the_switch_comes_to_its_end_and_follows(world: World) -> None:
    await world.start(**SMALLER)
    await world.work()
    document = await world.upload("barley flour")
    await world.work(Step.CHUNK)
    switched = await world.advance()
    assert switched.generation == 2
    await world.work(Step.EMBED, Step.INDEX)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert state.generation == 1, "made by the settings that it was cut by"
    assert len((await world.advance()).tasks) == 1
    await world.work()
    assert await world.found("barley") == ["barley"]


async def test_deletes_meanwhile_are_of_both_and_what_is_switched_off_is_in_neither(world: World) -> None:
    documents: list[DocumentId] = world.documents  # type: ignore[attr-defined]
    await world.start(**SMALLER)
    await world.work()
    await world.mill.say(documents[1], ChangeDocument(enabled=False))
    await world.work()
    assert await world.found("oat") == []
    assert (await world.advance()).generation == 2
    assert await world.found("oat") == []


async def test_what_fails_holds_the_switch_and_is_named(world: World) -> None:
    documents: list[DocumentId] = world.documents  # type: ignore[attr-defined]
    await world.start(**SMALLER)
    await world.mill.say(
        documents[0],
        StartStep(step=Step.CHUNK, attempt=2, worker="w"),
        FailStep(step=Step.CHUNK, attempt=2, code="too_many_chunks", message=""),
    )
    await world.work()
    held = await world.advance()
    assert (held.building, held.failed, held.holding, held.waiting) == (2, 1, (documents[0],), 0)
    assert (await world.advance()).tasks == ()
    assert len(await world.found("flour")) == 3
    await world.mill.say(documents[0], RemoveDocument())
    assert (await world.advance()).generation == 2


async def test_as_long_as_the_views_may_not_know_of_a_document_there_is_no_switch(world: World) -> None:
    await world.start(**SMALLER)
    await world.work()
    await world.upload("barley flour")
    behind = await world.reindexing.advance(world.mill.knowledge_base, "tests")
    assert (behind.building, behind.done) == (2, 2)
    assert (await world.advance()).generation == 2


async def test_given_up_it_leaves_the_old_index_and_brings_back_what_had_left_it(world: World) -> None:
    before = await world.found("flour")
    await world.start(**SMALLER)
    await world.work(Step.CHUNK)
    (first, _) = await world.mill.take(Step.EMBED, count=2)
    await world.run(world.embed, first)
    await world.work(Step.INDEX)
    await world.reindexing.abandon(world.mill.knowledge_base, "tests")
    assert await world.found("flour") == before
    world.mill.clock.advance(2)
    (other,) = await world.mill.claim(Step.EMBED, "worker-2")
    await world.run(world.embed, other)
    failed = [await world.mill.document(one) for one in world.documents]  # type: ignore[attr-defined]
    assert [state.code for state in failed if isinstance(state, Failed)] == [GENERATION_ENDED]
    assert len((await world.advance()).tasks) == 1
    await world.work()
    settled = await world.advance()
    assert (settled.generation, settled.building, settled.done, settled.tasks) == (1, None, 2, ())
    assert await world.found("flour") == before
    again = await world.start(**SMALLER)
    assert again.building == 3, "a number is given once"


async def test_the_same_request_begins_one_index_and_another_is_refused_meanwhile(world: World) -> None:
    await world.start("key", **SMALLER)
    assert (await world.start("key", **SMALLER)).building == 2
    assert (await world.start(**SMALLER)).building == 2
    with pytest.raises(Refused) as refused:
        await world.start(chunk_tokens=64)
    assert refused.value.code is RefusalCode.REINDEX_IN_PROGRESS
    await world.work()
    assert (await world.advance()).generation == 2
    assert (await world.start("key", **SMALLER)).building is None


async def test_an_empty_knowledge_base_switches_at_once_and_settings_that_make_no_sense_are_refused() -> None:
    world = World()
    await world.mill.create(KnowledgeBaseSettings(embedding_model="local", embedding_dimensions=None))
    await project(world.mill.log, world.views)
    for settings in ({"chunk_tokens": 1}, {"embedding_model": "nobody's"}, {"colour": "red"}):
        with pytest.raises(Rejected):
            await world.start(**settings)
    await world.start(**SMALLER)
    assert (await world.advance()).generation == 2


async def test_edits_are_carried_over_where_the_chunk_is_cut_the_same(world: World) -> None:
    documents: list[DocumentId] = world.documents  # type: ignore[attr-defined]
    (chunk,) = chunk_ids(documents[1], ["oat flour"])
    await world.mill.say(documents[1], EditChunk(chunk_id=chunk, text="oat groats"))
    await world.work()
    await world.start()
    await world.work()
    assert (await world.advance()).generation == 2
    assert await world.found("groats") == ["oat groats"]
