"""Embedding batch by batch and indexing: resumption, damage, and late writers."""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from blobs.errors import BlobStoreUnavailable
from domain.commands import CancelDocument, RecordIndexed, RemoveDocument, RequestReprocessing, StartStep
from domain.document import Chunked, Embedded, Failed, Indexed, Removed
from events.document import ChunksEmbedded, DocumentEmbedded
from events.steps import Step
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import IndexTable, vector_key_of
from knowledge.vectors import Vectors
from processors.documents import DocumentDeliveries
from processors.retry import RetryPolicy
from tests.searched import search_keyword
from tests.unit.processors.chunked_document import CHUNKS, CountingEmbedder, InterruptedIndex, World

LOST_FENCE = 50
"""Of an attempt after many others, which the log does not know of any more."""


async def test_every_batch_is_recorded_and_the_last_together_with_the_end() -> None:
    embedder = CountingEmbedder()
    world = World(embedder)
    document = await world.chunked()
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Embedded)
    assert [(batch.first_chunk, batch.last_chunk) for batch in state.batches] == [(0, 3), (4, 7), (8, 9)]
    assert [len(batch) for batch in embedder.batches] == [4, 4, 2]
    assert (state.vectors.model, state.vectors.dimensions, state.vectors.tokens) == ("hash", 8, 20)
    last = [(one.version, type(one.event)) for one in await world.mill.log.history(document)][-2:]
    assert [kind for _, kind in last] == [ChunksEmbedded, DocumentEmbedded]


async def test_a_crash_resumes_at_the_next_batch() -> None:
    embedder = CountingEmbedder(3)
    world = World(embedder)
    document = await world.chunked()
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Chunked)
    assert state.chunks_embedded == 8
    await world.come_due()
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Embedded)
    assert [len(batch) for batch in embedder.batches] == [4, 4, 2, 2]
    assert [batch.vectors_blob.rsplit("/", 1)[1].split("-")[0] for batch in state.batches] == ["0@1", "1@1", "2@2"]


async def test_a_small_document_costs_two_appends() -> None:
    world = World()
    await world.chunked(chunks=3)
    appends = 0
    append = world.mill.log.append

    async def counting(*args: object, **options: object) -> object:
        nonlocal appends
        appends += 1
        return await append(*args, **options)  # type: ignore[arg-type]

    world.mill.log.append = counting  # type: ignore[method-assign,assignment]
    await world.run(world.embed)
    assert appends == 2


async def test_embedding_stops_at_the_next_batch_when_nobody_wants_it_any_more() -> None:
    class CancelledMeanwhile(CountingEmbedder):
        async def embed_passages(self, texts: Sequence[str]) -> Vectors:
            if not self.batches:
                await world.mill.say(document, CancelDocument())
            return await super().embed_passages(texts)

    embedder = CancelledMeanwhile()
    world = World(embedder)
    document = await world.chunked()
    await world.run(world.embed)
    assert len(embedder.batches) == 1
    assert (await world.mill.depth(Step.EMBED)).pending == 0


async def test_indexed_chunks_are_found() -> None:
    world = World()
    document = await world.chunked()
    await world.run(world.embed)
    await world.run(world.indexing)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert (state.generation, await world.index.count(world.table, document)) == (1, CHUNKS)
    (hit,) = await search_keyword(world.index, world.table, "passage 7", limit=1)
    assert (hit.chunk.ordinal, hit.filename) == (7, "mill.md")


def one_letter_changed(content: bytes) -> bytes:
    """Every structure still holds: what is stored can be decoded, and says something else."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("blob", ["chunks@1", "vectors/1@1"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"damaged", one_letter_changed, None])
async def test_damaged_artifacts_never_reach_the_index(blob: str, damage: Callable[[bytes], bytes] | None) -> None:
    world = World()
    document = await world.chunked()
    await world.run(world.embed)
    (stored,) = [info.key async for info in world.blobs.list(f"documents/{document}/{blob}")]
    if damage is None:
        await world.blobs.delete(stored)
    else:
        await world.blobs.put(stored, damage(await world.blobs.get(stored)))
    await world.run(world.indexing)
    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == ("blob_missing" if damage is None else "blob_corrupt")
    assert await world.index.count(world.table) == 0


async def test_rows_that_are_written_behind_a_removal_are_taken_out_again() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)

    async def remove() -> None:
        await world.mill.say(document, RemoveDocument())

    index.meanwhile.append(remove)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(document), Removed)
    assert await world.index.count(world.table) == 0
    assert [info.key async for info in world.blobs.list(f"documents/{document}/")] == []


async def test_a_cancelled_document_that_served_nothing_is_not_found() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)

    async def cancel() -> None:
        await world.mill.say(document, CancelDocument())

    index.meanwhile.append(cancel)
    await world.run(world.indexing)
    assert await world.index.count(world.table) == 0


@pytest.mark.parametrize("moment", ["beforehand", "meanwhile"])
async def test_a_late_writer_leaves_the_rows_that_are_due(moment: str) -> None:
    """It slept through a new attempt, a new embedding and its indexing, and went on to write or to report."""
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)
    task = world.mill.ids.task(world.mill.knowledge_base)

    async def go_on_without_it() -> None:
        await world.mill.say(document, StartStep(step=Step.INDEX, attempt=2, worker="worker-2"))
        await world.mill.say(document, RecordIndexed(attempt=2, generation=1, chunks=CHUNKS))
        await world.mill.say(document, RequestReprocessing(from_step=Step.EMBED, reason="model", task_id=task))
        newer = HashEmbedder(dimensions=8)
        newer.model = "newer"
        world.embedder = newer
        await world.run(world.embed)
        await world.run(world.indexing)

    getattr(index, moment).append(go_on_without_it)
    await world.run(world.indexing)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert state.vectors.model == "newer"
    due = [vector_key_of("newer", 8, f"passage {ordinal}") for ordinal in range(CHUNKS)]
    assert (await index.vectors(world.table, due)).keys() == set(due)
    assert await world.index.count(world.table, document) == CHUNKS


async def test_a_late_eraser_leaves_the_rows_of_a_newer_attempt() -> None:
    """Its document was given up while it wrote, and begun again before it came to take its rows out."""
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)
    task = world.mill.ids.task(world.mill.knowledge_base)
    erase = index.erase

    async def begin_again(table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        index.erase = erase  # type: ignore[method-assign]
        await world.mill.say(document, RequestReprocessing(from_step=Step.INDEX, reason="again", task_id=task))
        await world.run(world.indexing)
        return await erase(table, document_id, fence=fence)

    async def cancel() -> None:
        index.erase = begin_again  # type: ignore[method-assign]
        await world.mill.say(document, CancelDocument())

    index.meanwhile.append(cancel)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(document), Indexed)
    assert await world.index.count(world.table, document) == CHUNKS


@pytest.mark.parametrize("is_raised", [False, True])
async def test_rows_of_versions_that_the_log_has_lost_give_way_in_its_next_epoch(*, is_raised: bool) -> None:
    world = World()
    document = await world.chunked()
    await world.run(world.embed)
    state = await world.mill.document(document)
    assert isinstance(state, Embedded)
    made = await world.indexing._rows.rows(document, state, world.table)
    await world.index.upsert(world.table, document, made.rows[:3], fence=LOST_FENCE)
    if is_raised:
        seen = (await world.mill.log.head(0)).position
        assert seen is not None
        assert await world.mill.log.raise_epoch(0, seen)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(document), Indexed) is is_raised
    assert await world.index.count(world.table, document) == (CHUNKS if is_raised else 3)
    fence = await world.index.fence(world.table, document)
    assert fence is not None
    assert (fence > LOST_FENCE) is is_raised


async def test_taking_back_waits_for_a_store_that_is_away() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)
    failures = 2
    delete_prefix = world.blobs.delete_prefix

    async def unsteady(prefix: str) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise BlobStoreUnavailable("refused")
        return await delete_prefix(prefix)

    async def remove() -> None:
        await world.mill.say(document, RemoveDocument())

    world.blobs.delete_prefix = unsteady  # type: ignore[method-assign]
    index.meanwhile.append(remove)
    bench = world.mill.bench()
    bench = replace(bench, policy=RetryPolicy(base_s=0.001))
    deliveries = DocumentDeliveries(world.indexing, bench, world.knowledge_bases)
    await deliveries.carry_out(await world.mill.take_one(Step.INDEX), 1)
    assert failures == 0
    assert [info.key async for info in world.blobs.list(f"documents/{document}/")] == []
