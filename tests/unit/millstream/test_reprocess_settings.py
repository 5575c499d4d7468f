"""Documents get settings of their own: what a dry run says is what happens, and they keep them until told otherwise."""

from typing import Any

import pytest

from domain.commands import EditChunk
from domain.document import Indexed
from domain.errors import RefusalCode, Refused
from domain.status import document_status
from events.ids import DocumentId
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from events.steps import Step
from ingest.problems import Rejected
from ingest.retry import reprocess_document
from knowledge.chunk import chunk_ids
from knowledge.embedders import Remote
from knowledge.text import ParsedText
from millstream.bootstrap import chunker_for
from millstream.reworking import comparison
from millstream.reworking.reprocess import FromStep
from tests.unit.millstream.reworking_world import World
from tests.unit.millstream.services_in_memory import services_in_memory

WORDS: dict[str, Any] = {"chunk_tokens": 128}
"""The chunker of this world cuts at blanks then, else at lines."""

PARAGRAPHS = [
    f"Paragraph {number} tells how the miller dresses stone {number} with a bill and a thrift. 磨坊第{number}天磨小麦。"
    for number in range(90)
]


async def milled(*texts: str, world: World | None = None) -> tuple[World, list[DocumentId]]:
    """On a model that is paid for: a local one makes vectors of less than four chunks faster than it finds them."""
    world = world or World()
    world.models["local"].remote = Remote("somewhere#local", 1_000)
    await world.mill.create(KnowledgeBaseSettings(embedding_model="local", embedding_dimensions=None))
    documents = [await world.upload(text) for text in texts]
    await world.work()
    return world, documents


async def indexed(world: World, document: DocumentId) -> Indexed:
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    return state


async def test_a_dry_run_tells_what_then_happens() -> None:
    world, _ = await milled("rye flour\nflour", "oat flour")
    before = len(world.embedded)
    told = await world.reprocess(dry_run=True, from_step=FromStep.CHUNK, settings=WORDS)
    assert (told.documents, told.by_step, told.chunks_embedded_max, told.tasks) == (2, {"chunk": 2}, None, ())
    assert told.chunking is not None
    assert (told.chunking.chunk_tokens, told.chunking.chunk_overlap_tokens) == (128, 32)
    compared = told.compared
    assert compared is not None
    assert (compared.documents, compared.is_complete) == (2, True)
    assert (compared.chunks_before, compared.chunks_after) == (3, 5)
    # One "flour" was a chunk of the first document before: it keeps its id, and all three share its vector.
    assert (compared.chunks_kept, compared.chunks_added, compared.chunks_removed) == (1, 4, 2)
    assert (compared.vectors_reused, compared.chunks_embedded, compared.tokens_embedded) == (3, 2, 2)

    await world.reprocess(from_step=FromStep.CHUNK, settings=WORDS)
    await world.work()
    assert await world.found("flour") == ["flour"] * 3
    assert sorted(world.embedded[before:]) == ["oat", "rye"]


async def test_documents_keep_their_own_settings_through_reprocessing_and_reindexing_until_they_are_taken_back() -> (
    None
):
    world, (document, other) = await milled("rye flour\nflour", "oat flour")
    services = services_in_memory(world.mill.log, world.mill.ids, world.mill.clock, blobs=world.blobs)
    kb = world.mill.knowledge_base
    asked = {"idempotency_key": "key", "actor": "tests", "settings": WORDS}
    first = await reprocess_document(services, kb, document, from_step=Step.CHUNK, **asked)  # type: ignore[arg-type]
    again = await reprocess_document(services, kb, document, from_step=Step.CHUNK, **asked)  # type: ignore[arg-type]
    assert first.task_id == again.task_id
    await world.work()
    assert await world.found("flour") == ["flour", "flour", "oat flour"]

    await world.reprocess(from_step=FromStep.CHUNK)
    await world.work()
    await world.start()
    await world.work()
    assert (await world.advance()).generation == 2
    assert await world.found("flour") == ["flour", "flour", "oat flour"]
    state = await indexed(world, document)
    status = document_status(document, state, version=1, updated_at_us=1)
    assert status is not None
    assert status.chunking == state.record.chunking
    assert (await indexed(world, other)).record.chunking is None

    told = await world.reprocess(from_step=FromStep.CHUNK, settings={})
    assert (told.documents, told.chunking) == (2, None)
    await world.work()
    assert await world.found("flour") == ["flour", "oat flour", "rye flour"]
    assert (await indexed(world, document)).record.chunking is None


async def test_settings_are_complete_whatever_becomes_of_the_knowledge_base() -> None:
    world, (document,) = await milled("rye flour")
    await world.reprocess(from_step=FromStep.CHUNK, settings={"chunker": "page"})
    await world.work()
    await world.start(chunk_tokens=1_024, chunk_overlap_tokens=512)
    await world.work()
    await world.advance()
    own = (await indexed(world, document)).record.chunking
    assert own is not None
    assert (own.chunker, own.chunk_tokens, own.chunk_overlap_tokens) == (ChunkerKind.PAGE, 256, 32)


async def test_edits_that_another_chunking_loses_are_told_beforehand() -> None:
    world, (document,) = await milled("rye flour\nwheat flour")
    (chunk, _) = chunk_ids(document, ["rye flour", "wheat flour"])
    await world.mill.say(document, EditChunk(chunk_id=chunk, text="rye groats"))
    await world.work()
    told = await world.reprocess(dry_run=True, settings=WORDS)
    same = await world.reprocess(dry_run=True)
    assert told.compared is not None
    assert same.compared is not None
    assert (told.compared.edits_lost, same.compared.edits_lost) == (1, 0)
    # The vector of what was cut is not in the index, where the row is that of the edited text.
    assert (same.compared.chunks_kept, same.compared.chunks_embedded) == (2, 1)
    await world.reprocess(from_step=FromStep.CHUNK, settings=WORDS)
    await world.work()
    assert (await indexed(world, document)).record.edits_lost == (chunk,)


async def test_what_is_compared_has_a_limit_and_what_costs_a_model_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "DOCUMENTS_COMPARED_MAX", 1)
    world, _ = await milled("rye flour", "oat flour")
    some = await world.reprocess(dry_run=True)
    semantic = await world.reprocess(dry_run=True, settings={"chunker": "semantic"})
    later = await world.reprocess(dry_run=True, from_step=FromStep.EMBED)
    assert some.compared is not None
    assert semantic.compared is not None
    assert (some.compared.documents, some.compared.is_complete) == (1, False)
    assert (semantic.compared.documents, semantic.compared.chunks_after, later.compared) == (0, 0, None)


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"settings": {"chunk_tokens": 1}}, "/settings/chunk_tokens"),
        ({"settings": {"chunk_overlap_tokens": 200}}, "/settings/chunk_overlap_tokens"),
        ({"settings": {"colour": "red"}}, "/settings/colour"),
        ({"settings": {"vector_weight": 0.5}}, "/settings/vector_weight"),
        ({"settings": {"fusion": "rrf"}}, "/settings/fusion"),
        ({"settings": {"embedding_query_prefix": "query: "}}, "/settings/embedding_query_prefix"),
        ({"settings": {}, "from_step": FromStep.EMBED}, "/from_step"),
        ({"settings": WORDS, "from_step": FromStep.INDEX}, "/from_step"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_settings_that_cannot_be_a_documents_own_are_refused(
    asked: dict[str, Any], pointer: str, dry_run: bool
) -> None:
    world, _ = await milled("rye flour")
    with pytest.raises(Rejected) as rejected:
        await world.reprocess(dry_run=dry_run, **asked)
    assert [flaw.pointer for flaw in rejected.value.errors] == [pointer]


async def test_another_embedding_model_needs_another_index_and_the_same_one_does_not() -> None:
    world, _ = await milled("rye flour")
    for asked in ({"embedding_model": "hash"}, {"embedding_passage_prefix": "passage: "}):
        with pytest.raises(Refused) as refused:
            await world.reprocess(dry_run=True, settings=asked)
        assert refused.value.code is RefusalCode.REINDEX_REQUIRED
    assert (await world.reprocess(dry_run=True, settings={"embedding_model": "local"})).documents == 1


async def test_a_document_that_did_not_change_embeds_nothing_and_of_one_that_did_what_is_new() -> None:
    text = "\n\n".join(PARAGRAPHS)
    chunker_for(KnowledgeBaseSettings()).chunk(ParsedText(text=text), document_id="", chunks_max=99)  # is slow to load
    world, (document,) = await milled(text, world=World(chunker_for))
    chunks = (await indexed(world, document)).chunks.chunks
    assert chunks > 10
    assert len(world.embedded) == chunks
    for step in FromStep.CHUNK, FromStep.EMBED, FromStep.INDEX:
        await world.reprocess(from_step=step)
        await world.work()
    assert len(world.embedded) == chunks, "chunk ids and vectors are those that were there"

    edited = [*PARAGRAPHS]
    edited[30] = "磨坊主写下了完全不同的一段话。 The miller wrote something else altogether."
    version = await world.upload("\n\n".join(edited))
    await world.work()
    new = world.embedded[chunks:]
    assert 1 <= len(new) <= 4
    assert any("something else altogether" in text for text in new)
    assert (await indexed(world, version)).chunks.chunks - len(new) >= chunks - 4
