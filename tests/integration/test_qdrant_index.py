"""The index on Qdrant: the contract of every index, in the local mode of its client and on a server that is named.

The local mode is the client's own Python: it judges conditions and counts words as the server does, and knows neither
payload indices, nor replicas, nor a second process.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec import structs

from knowledge.chunk import indexed_text
from knowledge.errors import KnowledgeError
from knowledge.filters import parse_filters
from knowledge.index import Index, IndexTable
from knowledge.memory_index import MemoryIndex
from knowledge.terms import index_terms, query_terms
from tests.contract.index_contract import DIMENSIONS, TABLE, IndexContract, direction, rows_of, texts_of
from tests.searched import search_keyword, search_vector
from tests.servers.qdrant_server import client_of, index_on, local_client

if TYPE_CHECKING:
    from knowledge.qdrant_index import QdrantIndex
    from knowledge.qdrant_writer import QdrantWriter

pytest_plugins = ("tests.servers.qdrant",)


class TestQdrantIndexInLocalMode(IndexContract):
    @pytest.fixture
    async def index(self) -> AsyncIterator[Index]:
        index = index_on(local_client())
        yield index
        await index.close()


class TestQdrantIndexOnAServer(IndexContract):
    @pytest.fixture
    async def index(self, qdrant_url: str, qdrant_collection: str) -> AsyncIterator[Index]:
        index = index_on(client_of(qdrant_url), collection=qdrant_collection)
        yield index
        await index.close()


@pytest.fixture(params=["local mode", "a server"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator["QdrantIndex"]:
    """Both, where a server is named."""
    if request.param == "local mode":
        index = index_on(local_client())
    else:
        url = request.getfixturevalue("qdrant_url")
        index = index_on(client_of(url), collection=request.getfixturevalue("qdrant_collection"))
    yield index
    await index.close()


async def writer_of(index: "QdrantIndex", table: IndexTable) -> "QdrantWriter":
    from knowledge.qdrant_writer import QdrantWriter

    collection = await index.collections.holding(table)
    assert collection is not None
    return QdrantWriter(collection, table)


async def test_a_late_writer_that_dies_replaces_nothing_is_not_found_and_is_swept_up(index: "QdrantIndex") -> None:
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["kept", "newer"]), fence=14)
    await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["wheel"]), fence=3)
    # It had looked before the newer one wrote, and comes to no second look.
    await (await writer_of(index, TABLE)).replace("doc_1", rows_of("doc_1", ["kept", "late"], lang="old"), 10)
    assert await index.count(TABLE, "doc_1") == 3
    for hits in (
        await search_vector(index, TABLE, direction(0), limit=9),
        await search_keyword(index, TABLE, "kept newer late wheel", limit=9),
    ):
        assert sorted(texts_of(hits)) == ["kept", "newer", "wheel"]
        assert all(hit.metadata == {} for hit in hits)
    assert await index.fence(TABLE, "doc_1") == 14
    await index.optimize(TABLE)
    assert (await index.count(TABLE, "doc_1"), await index.count(TABLE)) == (2, 3)


async def test_a_writer_that_is_cancelled_takes_out_what_it_should_not_have_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from knowledge.qdrant_collection import Collection

    carry_out, begun, may_go_on = Collection.update, asyncio.Event(), asyncio.Event()

    async def held(collection: Collection, operations: list[Any]) -> None:
        if not begun.is_set():
            begun.set()
            await may_go_on.wait()
        await carry_out(collection, operations)

    index = index_on(local_client())
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["first"]), fence=3)
    monkeypatch.setattr(Collection, "update", held)
    late = asyncio.create_task(index.upsert(TABLE, "doc_1", rows_of("doc_1", ["late", "later"]), fence=10))
    await begun.wait()
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["newer"]), fence=14)
    late.cancel()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert await index.count(TABLE) == 1
    assert texts_of(await search_vector(index, TABLE, direction(0), limit=9)) == ["newer"]
    await index.close()


async def test_what_a_dead_writer_left_is_swept_up_by_writing_on() -> None:
    index = index_on(local_client(), sweep_writes_min=2)
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["newer"]), fence=14)
    await (await writer_of(index, TABLE)).replace("doc_1", rows_of("doc_1", ["late"]), 10)
    await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["other"]))
    assert await index.count(TABLE, "doc_1") == 1
    await index.close()


async def test_writes_that_end_during_a_sweep_begin_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from knowledge.qdrant_writer import QdrantWriter

    sweep, begun, may_go_on, begins = QdrantWriter.take_out_overtaken, asyncio.Event(), asyncio.Event(), list[str]()

    async def held(writer: QdrantWriter) -> None:
        begins.append("sweep")
        begun.set()
        await may_go_on.wait()
        await sweep(writer)

    monkeypatch.setattr(QdrantWriter, "take_out_overtaken", held)
    index = index_on(local_client(), sweep_writes_min=1)
    async with asyncio.timeout(60):
        first = asyncio.create_task(index.upsert(TABLE, "doc_1", rows_of("doc_1", ["rye"])))
        await begun.wait()
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["wheat"]))
        assert begins == ["sweep"]
        may_go_on.set()
        await first
        await index.upsert(TABLE, "doc_3", rows_of("doc_3", ["oats"]))
    assert begins == ["sweep", "sweep"], "the next one is begun once that has ended"
    await index.close()


@pytest.mark.parametrize(
    ("texts", "query"),
    [
        (["rye flour", "flour of wheat and wheat", "water wheel"], "wheat flour"),
        (["石磨每年春天重新开槽", "水车带动石磨", "面粉要保持干燥"], "石磨水车"),
    ],
    ids=["English", "Chinese"],
)
async def test_words_score_by_the_formula_and_other_knowledge_bases_change_nothing(
    index: "QdrantIndex", texts: list[str], query: str
) -> None:
    rows = rows_of("doc_1", texts)
    await index.upsert(TABLE, "doc_1", rows)
    hits = await search_keyword(index, TABLE, query, limit=9)
    held = [Counter(index_terms(indexed_text(row.chunk)).split()) for row in rows]
    expected: dict[str, float] = {}
    for row, terms in zip(rows, held, strict=True):
        damping = 1.2 * (0.25 + 0.75 * row.chunk.tokens / 200)
        score = 0.0
        for term in query_terms(query):
            holders = sum(term in other for other in held)
            idf = math.log(1 + (len(rows) - holders + 0.5) / (holders + 0.5))
            score += idf * terms[term] * 2.2 / (terms[term] + damping)
        if score:
            expected[row.chunk.text] = score
    assert {hit.chunk.text: hit.score for hit in hits} == pytest.approx(expected, rel=1e-4)
    elsewhere = IndexTable("kb_07other", 1)
    await index.upsert(elsewhere, "doc_2", rows_of("doc_2", [f"{query} {number}" for number in range(9)]))
    assert await search_keyword(index, TABLE, query, limit=9) == hits


async def test_the_best_by_words_are_those_of_the_index_in_memory(index: "QdrantIndex") -> None:
    words = ["mill", "stone", "grain", "flour", "wheel", "sack", "石磨", "面粉", "水车", "谷物"]
    texts = [" ".join(words[place] for place in range(10) if number >> place & 1) for number in range(1, 1024, 13)]
    memory = MemoryIndex()
    for one in (index, memory):
        await one.upsert(TABLE, "doc_1", rows_of("doc_1", texts))
    for query in ("mill grain", "flour sacks", "石磨", "面粉 wheel", "水车和谷物"):
        ours = await search_keyword(index, TABLE, query, limit=100)
        theirs = await search_keyword(memory, TABLE, query, limit=100)
        assert {hit.chunk.chunk_id for hit in ours} == {hit.chunk.chunk_id for hit in theirs}
        best = max(hit.score for hit in theirs)
        leading = {hit.chunk.chunk_id for hit in theirs if hit.score > 0.8 * best}
        assert ours[0].chunk.chunk_id in leading


async def test_knowledge_bases_of_other_vectors_lie_elsewhere_and_are_found_alike(index: "QdrantIndex") -> None:
    other = IndexTable("kb_07wide", 3)
    wide = np.zeros(DIMENSIONS * 2, dtype=np.float32)
    wide[0] = 1.0
    (row,) = rows_of("doc_1", ["wide"])
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["narrow"]))
    await index.upsert(other, "doc_1", [structs.replace(row, vector=wide)])
    assert texts_of(await search_vector(index, other, wide, limit=5)) == ["wide"]
    assert texts_of(await search_keyword(index, other, "wide narrow", limit=5)) == ["wide"]
    assert await index.tables() == [TABLE, other]
    with pytest.raises(KnowledgeError, match="8 dimensions, not 16"):
        await search_vector(index, TABLE, wide, limit=5)
    await index.drop(TABLE)
    assert await index.tables() == [other]


async def test_what_one_process_wrote_another_finds_at_once_and_drops() -> None:
    client = local_client()
    writer, reader = index_on(client), index_on(client)
    assert await reader.count(TABLE) == 0
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    assert texts_of(await search_keyword(reader, TABLE, "one", limit=5)) == ["one"]
    await reader.drop(TABLE)
    assert await search_keyword(writer, TABLE, "one", limit=5) == []
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["two"]))
    assert await reader.count(TABLE) == 1
    await client.close()


async def test_ranges_of_strings_hold_beyond_what_the_server_compares(index: "QdrantIndex") -> None:
    moments = [f"2026-11-30T08:{minute:02}:00Z" for minute in range(60)]
    rows = [
        structs.replace(row, metadata={"at": moment, "标题": f"石磨的历史与工艺{moment[14:16]}"})
        for row, moment in zip(rows_of("doc_1", [f"stone {moment}" for moment in moments]), moments, strict=True)
    ]
    await index.upsert(TABLE, "doc_1", rows)
    late = parse_filters({"metadata.at": {"gte": "2026-11-30T08:57:00Z"}})
    for hits in (
        await search_vector(index, TABLE, direction(0), limit=5, filters=late),
        await search_keyword(index, TABLE, "stone", limit=5, filters=late, similar_to=direction(0)),
    ):
        assert sorted(str(hit.metadata["at"]) for hit in hits) == moments[57:]
    early = parse_filters({"not": {"metadata.标题": {"gt": "石磨的历史与工艺02"}}})
    hits = await search_vector(index, TABLE, direction(0), limit=5, filters=early)
    assert sorted(str(hit.metadata["at"]) for hit in hits) == moments[:3]
    first = await search_keyword(index, TABLE, "stone", limit=2, filters=late)
    assert len(first) == 2


async def test_a_vector_is_found_beside_one_that_stands_in_very_many_rows(index: "QdrantIndex") -> None:
    rows = [structs.replace(row, vector_key="often") for row in rows_of("doc_1", [f"sack {n}" for n in range(200)])]
    await index.upsert(TABLE, "doc_1", [*rows, structs.replace(rows_of("doc_1", ["rare"])[0], vector_key="rare")])
    found = await index.vectors(TABLE, ["often", "rare", "never"])
    assert found.keys() == {"often", "rare"}
    assert np.array_equal(found["rare"], direction(0))


async def test_a_document_of_more_than_one_request_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.qdrant_writer.REQUEST_BYTES_MAX", 10_000)
    index = index_on(local_client())
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", [f"old {number}" for number in range(11)]))
    assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", [f"new {number}" for number in range(7)])) == 7
    assert await index.count(TABLE) == 7
    await index.close()


async def test_through_graphs_a_small_knowledge_base_is_found_as_without() -> None:
    client = local_client()
    exact, through_graphs = index_on(client), index_on(client, is_exact=False)
    await exact.upsert(TABLE, "doc_1", rows_of("doc_1", [f"sack {number}" for number in range(30)]))
    found = await search_vector(exact, TABLE, direction(1.1), limit=9)
    assert await search_vector(through_graphs, TABLE, direction(1.1), limit=9) == found
    await client.close()
