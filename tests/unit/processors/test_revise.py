"""Rows follow what persons change, at once and when the document is processed again."""

from domain.commands import ChangeDocument, EditChunk, RemoveDocument, RequestReprocessing
from domain.document import Indexed, Removed
from events.ids import DocumentId
from events.steps import Step
from knowledge.chunk import chunk_ids
from processors.errands import ErrandDeliveries
from tests.searched import search_keyword, search_vector
from tests.unit.processors.chunked_document import CHUNKS, CountingEmbedder, InterruptedIndex, World


async def indexed(world: World) -> tuple[DocumentId, list[str]]:
    """A searchable document, and the ids of its chunks."""
    document = await world.chunked()
    await world.run(world.embed)
    await world.run(world.indexing)
    return document, chunk_ids(document, [f"passage {ordinal}" for ordinal in range(CHUNKS)])


async def revise(world: World) -> None:
    for delivery in await world.mill.take(Step.REVISE, count=10):
        assert await ErrandDeliveries(world.revising, world.mill.bench()).carry_out(delivery, 1) is None
    assert (await world.mill.depth(Step.REVISE)).pending == 0


async def found(world: World, words: str) -> list[str]:
    return [hit.chunk.text for hit in await search_keyword(world.index, world.table, words, limit=99)]


async def again(world: World, document: DocumentId, step: Step) -> None:
    task = world.mill.ids.task(world.mill.knowledge_base)
    await world.mill.say(document, RequestReprocessing(reason="again", task_id=task, from_step=step))
    if step is Step.EMBED:
        await world.run(world.embed)
    await world.run(world.indexing)


async def test_an_edited_text_is_found_by_its_words_and_its_meaning_now_and_after_reprocessing() -> None:
    embedder = CountingEmbedder()
    world = World(embedder)
    document, ids = await indexed(world)
    vector = await CountingEmbedder().embed_query("dress the stones")
    await world.mill.say(document, EditChunk(chunk_id=ids[7], text="dress the stones"))
    await revise(world)
    assert embedder.batches[-1] == ["dress the stones"]
    for step in (None, Step.INDEX, Step.EMBED):
        if step is not None:
            await again(world, document, step)
        assert await found(world, "stones") == ["dress the stones"]
        assert len(await found(world, "passage")) == CHUNKS - 1
        (nearest,) = await search_vector(world.index, world.table, vector, limit=1)
        assert (nearest.chunk.chunk_id, nearest.chunk.text) == (ids[7], "dress the stones")
        assert nearest.score > 0.99
    assert embedder.batches.count(["dress the stones"]) == 1, "its vector is found in the index from then on"
    await world.mill.say(document, EditChunk(chunk_id=ids[7], text=None))
    await revise(world)
    assert (await found(world, "stones"), len(await found(world, "passage"))) == ([], CHUNKS)


async def test_what_is_switched_off_is_not_found_and_comes_back_without_being_embedded_again() -> None:
    embedder = CountingEmbedder()
    world = World(embedder)
    document, ids = await indexed(world)
    asked = len(embedder.batches)
    await world.mill.say(document, EditChunk(chunk_id=ids[3], enabled=False))
    await revise(world)
    assert "passage 3" not in await found(world, "passage")
    await again(world, document, Step.INDEX)
    assert "passage 3" not in await found(world, "passage")
    await world.mill.say(document, ChangeDocument(enabled=False))
    await revise(world)
    assert await found(world, "passage") == []
    await world.mill.say(document, EditChunk(chunk_id=ids[3], enabled=True), ChangeDocument(enabled=True))
    await revise(world)
    assert len(await found(world, "passage")) == CHUNKS
    assert len(embedder.batches) == asked


async def test_metadata_is_filtered_by_as_it_is_now() -> None:
    world = World()
    document, _ = await indexed(world)
    await world.mill.say(document, ChangeDocument(metadata={"year": 2026}))
    await revise(world)
    hits = await search_keyword(world.index, world.table, "passage", limit=99)
    assert {hit.metadata["year"] for hit in hits} == {2026}


async def test_edits_whose_chunk_is_no_more_are_told_and_wait_for_it() -> None:
    world = World()
    document, ids = await indexed(world)
    await world.mill.say(document, EditChunk(chunk_id=ids[3], text="kept"), EditChunk(chunk_id="0" * 32, text="lost"))
    await revise(world)
    await again(world, document, Step.INDEX)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    assert state.record.edits_lost == ("0" * 32,)
    assert len(state.record.edits) == 2


async def test_a_change_while_rows_are_written_is_carried_out_behind_them() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document = await world.chunked()
    await world.run(world.embed)

    async def switch_off() -> None:
        await world.mill.say(document, ChangeDocument(enabled=False))

    index.meanwhile.append(switch_off)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(document), Indexed)
    await revise(world)
    assert await found(world, "passage") == []


async def test_a_document_that_was_switched_off_while_it_is_processed_again_vanishes_at_once_and_stays_away() -> None:
    world = World()
    document, _ = await indexed(world)
    task = world.mill.ids.task(world.mill.knowledge_base)
    await world.mill.say(
        document,
        RequestReprocessing(reason="again", task_id=task, from_step=Step.INDEX),
        ChangeDocument(enabled=False),
    )
    await revise(world)
    assert await found(world, "passage") == []
    await world.run(world.indexing)
    assert await found(world, "passage") == []


async def test_rows_that_a_revision_writes_behind_a_removal_are_taken_out_again() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document, _ = await indexed(world)
    await world.mill.say(document, ChangeDocument(metadata={"year": 2026}))

    async def remove() -> None:
        await world.mill.say(document, RemoveDocument())
        await index.erase(world.table, document)

    index.beforehand.append(remove)
    await revise(world)
    assert isinstance(await world.mill.document(document), Removed)
    assert await index.count(world.table) == 0


async def test_changes_at_the_same_time_leave_the_rows_of_the_last() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    document, ids = await indexed(world)
    await world.mill.say(document, EditChunk(chunk_id=ids[0], enabled=False))

    async def switch_off_and_revise() -> None:
        await world.mill.say(document, ChangeDocument(enabled=False))
        await world.revising._reviser.revise(world.mill.knowledge_base, document)

    index.beforehand.append(switch_off_and_revise)
    await revise(world)
    assert await found(world, "passage") == []
