"""Another index is built beside the one that serves, and takes its place from one moment to the next."""

from typing import Any

import pytest

from domain.commands import (
    ChangeDocument,
    EditChunk,
    FailStep,
    RemoveDocument,
    StartStep,
)
from domain.document import Failed, Indexed
from domain.errors import RefusalCode, Refused
from domain.knowledge_base import GENERATION_ENDED
from events.ids import DocumentId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from ingest.problems import Rejected
from knowledge.chunk import chunk_ids
from tests.projecting import project
from tests.unit.millstream.reworking_world import World

SMALLER: dict[str, Any] = {"chunk_tokens": 128}


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


async def test_another_passage_prefix_is_another_embedding(world: World) -> None:
    model = world.models["local"]
    before = len(model.batches)
    await world.start(embedding_passage_prefix="passage: ", embedding_query_prefix="query: ")
    await world.work()
    await world.advance()
    texts = sorted(text for batch in model.batches[before:] for text in batch)
    assert texts == ["passage: oat flour", "passage: rye flour", "passage: wheat flour"], "once each"
    assert await world.found("flour") == ["oat flour", "rye flour", "wheat flour"], "stored without it"
    settings = (await world.base()).settings
    assert (settings.embedding_query_prefix, settings.embedding_passage_prefix) == ("query: ", "passage: ")


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
