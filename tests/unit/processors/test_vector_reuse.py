"""Vectors that were made before are not made, or paid for, again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from domain.commands import EditChunk, RequestReprocessing
from domain.document import Embedded, Failed, Indexed
from domain.status import document_status
from events.document import DocumentEmbedded
from events.ids import DocumentId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from knowledge.chunk import Chunk
from knowledge.embedders import Embedding, Prefixes, Remote
from knowledge.errors import EmbeddingError, IndexUnavailable
from knowledge.index import IndexTable, vector_key_of
from knowledge.memory_index import MemoryIndex
from knowledge.prefixed_embedder import PrefixedEmbedder
from knowledge.vectors import Vectors
from processors.embed import EmbedStep
from processors.group_commit import GroupCommit
from processors.observing import NobodyWatches
from processors.rows import RowMaker
from processors.stored import load_vectors
from processors.under_way import UnderWay
from tests.searched import search_keyword
from tests.unit.processors.chunked_document import BATCH, CHUNKS, CountingEmbedder, World


class RemoteEmbedder(CountingEmbedder):
    """As one that is paid for."""

    def __init__(self, *failures: int) -> None:
        super().__init__(*failures)
        self.remote = Remote("somewhere#hash", 1_000)

    @property
    def paid(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


async def costs(world: World, document: DocumentId) -> tuple[int, int, int]:
    """Calls, tokens sent and chunks reused, as the last event and the status say alike."""
    (*_, event) = [one for one in await world.mill.history(document) if isinstance(one, DocumentEmbedded)]
    state = await world.mill.document(document)
    status = document_status(document, state, version=1, updated_at_us=1)
    assert status is not None
    told = (status.counts.embedding_calls, status.counts.tokens_sent, status.counts.chunks_reused)
    assert told == (event.calls, event.tokens_sent, event.chunks_reused)
    return told


async def finished(world: World, document: DocumentId) -> None:
    await world.run(world.embed)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(document), Indexed)


async def test_a_document_tells_what_its_vectors_cost() -> None:
    world = World(RemoteEmbedder())
    document = await world.chunked()
    await finished(world, document)
    assert await costs(world, document) == (3, 2 * CHUNKS, 0)


async def test_costs_of_all_attempts_add_up() -> None:
    embedder = RemoteEmbedder(2)
    world = World(embedder)
    document = await world.chunked()
    await world.run(world.embed)
    await world.come_due()
    await finished(world, document)
    assert len(embedder.batches) == 4
    assert await costs(world, document) == (3, 2 * CHUNKS, 0), "a call that brought nothing is in no batch"


async def test_a_prefix_is_embedded_once_counted_and_part_of_what_vectors_are_reused_by() -> None:
    embedder = RemoteEmbedder()
    world = World(PrefixedEmbedder(embedder, Prefixes("query: ", "passage: ")))
    document = await world.chunked()
    await finished(world, document)
    assert embedder.paid == [f"passage: passage {ordinal}" for ordinal in range(CHUNKS)]
    assert await costs(world, document) == (3, 4 * CHUNKS, 0), "a word and a mark more for each chunk"
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert state.vectors.passage_prefix == "passage: "
    again = await world.chunked_too([f"passage {ordinal}" for ordinal in range(CHUNKS)])
    await finished(world, again)
    assert await costs(world, again) == (0, 0, CHUNKS)

    world.embedder = embedder
    bare = await world.chunked_too([f"passage {ordinal}" for ordinal in range(CHUNKS)])
    await finished(world, bare)
    assert await costs(world, bare) == (3, 2 * CHUNKS, 0), "without the prefix they are other vectors"
    hits = await search_keyword(world.index, world.table, "passage", limit=99)
    assert {hit.chunk.text for hit in hits} == {f"passage {ordinal}" for ordinal in range(CHUNKS)}


async def test_a_text_that_a_person_writes_anew_is_embedded_as_the_others_were() -> None:
    embedder = RemoteEmbedder()
    world = World(PrefixedEmbedder(embedder, Prefixes(passage="passage: ")))
    await world.mill.create()
    document = await world.chunked_too(["one", "two"])
    await finished(world, document)
    chunk = (await search_keyword(world.index, world.table, "two", limit=1))[0].chunk
    await world.mill.say(document, EditChunk(chunk_id=chunk.chunk_id, text="three"))
    asked: list[Embedding] = []

    async def embed(embedding: Embedding, chunks: Sequence[Chunk]) -> Vectors:
        asked.append(embedding)
        return await world.embedder.embed_passages([one.text for one in chunks])

    edited = await world.mill.document(document)
    assert isinstance(edited, Indexed)
    rows = await RowMaker(world.blobs, world.index, embed).rows(document, edited, world.table)
    assert asked == [Embedding("hash", 8, Prefixes(passage="passage: "))]
    assert embedder.paid[-1] == "passage: three"
    assert rows.rows[1].vector_key == vector_key_of("hash", 8, "passage: three")


class Waits(GroupCommit):
    """Keeps who waited for others."""

    def __init__(self) -> None:
        super().__init__(UnderWay(NobodyWatches()), places=1, wait_s=0)
        self.waited: list[str] = []

    @asynccontextmanager
    async def together(self, document: str) -> AsyncIterator[None]:
        self.waited.append(document)
        async with super().together(document):
            yield


async def test_a_document_of_many_batches_waits_once_for_others_that_look_for_vectors() -> None:
    world, looks = World(RemoteEmbedder()), Waits()
    document = await world.chunked()
    world.embed = EmbedStep(
        world.blobs, lambda _: world.embedder, world.gate, world.index, batch_chunks=BATCH, time_limit_s=5, looks=looks
    )
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Embedded)
    assert len(state.batches) > 1
    assert looks.waited == [document]


async def test_a_document_that_is_embedded_again_pays_nothing() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder)
    document = await world.chunked()
    await finished(world, document)
    paid = len(embedder.paid)
    task = world.mill.ids.task(world.mill.knowledge_base)
    await world.mill.say(document, RequestReprocessing(from_step=Step.EMBED, reason="again", task_id=task))
    await finished(world, document)
    assert len(embedder.paid) == paid
    assert await costs(world, document) == (0, 0, CHUNKS)


async def test_a_new_version_of_a_document_pays_for_what_is_new() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder)
    await finished(world, await world.chunked())
    embedder.batches.clear()
    texts = [f"passage {ordinal}" for ordinal in range(CHUNKS)]
    texts[5] = "another passage"
    second = await world.chunked_too(texts)
    await world.run(world.embed)
    state = await world.mill.document(second)
    assert isinstance(state, Embedded)
    assert embedder.paid == ["another passage"]
    expected = await CountingEmbedder().embed_passages(texts)
    assert np.array_equal(await load_vectors(world.blobs, state.batches), expected)
    assert await costs(world, second) == (1, 2, CHUNKS - 1)


async def test_a_text_that_comes_twice_in_a_batch_is_sent_once() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder)
    await world.mill.create()
    document = await world.chunked_too(["a", "b", "a", "a"])
    await finished(world, document)
    assert embedder.paid == ["a", "b"]
    assert await costs(world, document) == (1, 2, 2)


async def test_vectors_of_another_model_are_not_taken() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder)
    document = await world.chunked()
    await finished(world, document)
    other = RemoteEmbedder()
    other.model = "other"
    world.embedder = other
    task = world.mill.ids.task(world.mill.knowledge_base)
    await world.mill.say(document, RequestReprocessing(from_step=Step.EMBED, reason="model", task_id=task))
    await finished(world, document)
    assert len(other.paid) == CHUNKS


async def test_a_small_batch_of_a_local_model_is_not_looked_up() -> None:
    index = UnreadableIndex()
    world = World(CountingEmbedder(), index)
    document = await world.chunked(chunks=BATCH - 1)
    await world.run(world.embed)
    assert isinstance(await world.mill.document(document), Embedded)


async def test_what_was_searchable_before_is_looked_up_for_a_local_model_too() -> None:
    embedder = CountingEmbedder()
    world = World(embedder)
    document = await world.chunked()
    await finished(world, document)
    made = sum(map(len, embedder.batches))
    task = world.mill.ids.task(world.mill.knowledge_base)
    await world.mill.say(document, RequestReprocessing(from_step=Step.EMBED, reason="again", task_id=task))
    await finished(world, document)
    assert sum(map(len, embedder.batches)) == made == CHUNKS


class UnreadableIndex(MemoryIndex):
    """Cannot be asked for vectors."""

    async def vectors(self, table: IndexTable, keys: object) -> dict[str, Vectors]:
        raise IndexUnavailable("down")


async def test_an_index_that_is_down_is_waited_for_rather_than_paid_for() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder, UnreadableIndex())
    document = await world.chunked()
    for _ in range(8):
        await world.run(world.embed)
        await world.come_due()
    assert embedder.paid == []
    world.embed._index = MemoryIndex()
    await world.run(world.embed)
    assert isinstance(await world.mill.document(document), Embedded)


async def test_a_model_whose_vectors_have_changed_their_length_writes_nothing() -> None:
    embedder = RemoteEmbedder()
    world = World(embedder)
    await world.mill.create(KnowledgeBaseSettings(embedding_dimensions=16))
    document = await world.chunked_too(["one", "two"])
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert (state.code, embedder.paid) == ("dimensions_changed", [])


@pytest.mark.parametrize("code", ["provider_500", "provider_502", "provider_timeout", "provider_429", "provider_down"])
async def test_a_provider_that_is_away_for_long_costs_no_document(code: str) -> None:
    class Away(RemoteEmbedder):
        async def embed_passages(self, texts: Sequence[str]) -> Vectors:
            self.batches.append(list(texts))
            if len(self.batches) <= 20:
                raise EmbeddingError(code, "away", retry_after_s=60)
            return await super().embed_passages(texts)

    embedder = Away()
    world = World(embedder)
    document = await world.chunked()
    for _ in range(30):
        await world.run(world.embed)
        if isinstance(await world.mill.document(document), Embedded):
            break
        await world.come_due()
    assert isinstance(await world.mill.document(document), Embedded)
