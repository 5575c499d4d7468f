"""What every index of passages does, whatever it stands on."""

import asyncio

import numpy as np
import pytest
from msgspec import structs

from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.errors import KnowledgeError, Overtaken
from knowledge.filters import Scalar, of_documents, parse_filters
from knowledge.index import VECTOR_KEY_CHARS, CollectableIndex, Index, IndexRow, IndexTable, vector_key_of
from knowledge.vectors import Vectors
from tests.searched import SearchedRow, chunks_of, search_keyword, search_vector

DIMENSIONS = 8
TABLE = IndexTable("kb_07test", 1)


def direction(angle: float) -> Vectors:
    """A unit vector in the plane of the first two axes."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    vector[:2] = np.cos(angle), np.sin(angle)
    return vector


def rows_of(
    document_id: str, texts: list[str], *, page: int | None = None, angle: float = 0.0, **metadata: Scalar
) -> list[IndexRow]:
    rows = []
    for ordinal, (chunk_id, text) in enumerate(zip(chunk_ids(document_id, texts), texts, strict=True)):
        chunk = Chunk(
            chunk_id=chunk_id,
            ordinal=ordinal,
            text=text,
            start=0,
            end=len(text),
            page=page,
            headings=("Handbook",),
            tokens=count_tokens(text),
        )
        vector = direction(angle + ordinal * 0.1)
        rows.append(IndexRow(document_id, f"{document_id}.txt", chunk, vector, metadata))
    return rows


def texts_of(hits: list[SearchedRow]) -> list[str]:
    return [hit.chunk.text for hit in hits]


class IndexContract:
    """Subclasses provide the fixture `index`."""

    async def test_a_table_that_does_not_exist_holds_and_finds_nothing(self, index: Index) -> None:
        assert await index.count(TABLE) == 0
        assert await index.erase(TABLE, "doc_1") == 0
        assert await search_keyword(index, TABLE, "flour", limit=5) == []
        assert await search_vector(index, TABLE, direction(0), limit=5) == []
        await index.optimize(TABLE)
        await index.drop(TABLE)
        await index.check()

    async def test_a_row_comes_back_as_it_was_written(self, index: Index) -> None:
        row = rows_of("doc_1", ["Rye flour"], page=3, lang="en", year=2024, share=0.5, draft=True)[0]
        await index.upsert(TABLE, "doc_1", [row])
        (hit,) = await search_vector(index, TABLE, direction(0), limit=5)
        assert (hit.document_id, hit.filename, hit.chunk) == ("doc_1", "doc_1.txt", row.chunk)
        assert dict(hit.metadata) == {"lang": "en", "year": 2024, "share": 0.5, "draft": True}
        assert hit.score == pytest.approx(1.0, abs=1e-5)

    async def test_fresh_rows_are_found_by_words_before_and_after_optimize(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["The millstone is dressed in spring"]))
        await index.optimize(TABLE)
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["石磨每年春天重新开槽"]))
        for _ in range(2):
            assert texts_of(await search_keyword(index, TABLE, "dressing millstones", limit=5)) == [
                "The millstone is dressed in spring"
            ]
            assert texts_of(await search_keyword(index, TABLE, "石磨开槽", limit=5)) == ["石磨每年春天重新开槽"]
            await index.optimize(TABLE)

    async def test_a_document_is_found_by_the_words_of_its_headings(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["keep dry"]))
        assert texts_of(await search_keyword(index, TABLE, "handbook", limit=5)) == ["keep dry"]

    async def test_upsert_replaces_every_row_of_the_document_and_no_other(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["old one", "kept", "old two"]))
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["other"]))
        assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["kept", "new"], lang="en")) == 2
        assert await index.count(TABLE, "doc_1") == 2
        assert await index.count(TABLE) == 3
        found = await search_vector(index, TABLE, direction(0), limit=10, filters=of_documents(("doc_1",)))
        assert sorted(texts_of(found)) == ["kept", "new"]
        assert all(hit.metadata == {"lang": "en"} for hit in found)

    async def test_upsert_twice_is_upsert_once(self, index: Index) -> None:
        rows = rows_of("doc_1", ["one", "two", "three"])
        for _ in range(3):
            assert await index.upsert(TABLE, "doc_1", rows) == 3
        assert await index.count(TABLE) == 3

    async def test_upsert_of_no_rows_erases(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]))
        assert await index.upsert(TABLE, "doc_1", []) == 0
        assert await index.count(TABLE, "doc_1") == 0

    async def test_older_rows_never_take_the_place_of_newer_ones(self, index: Index) -> None:
        newer = rows_of("doc_1", ["kept", "newer"])
        await index.upsert(TABLE, "doc_1", newer, fence=14)
        for late in (["kept", "older"], ["kept"], ["quite", "other", "chunks"], []):
            with pytest.raises(Overtaken):
                await index.upsert(TABLE, "doc_1", rows_of("doc_1", late, lang="old"), fence=10)
            hits = await search_vector(index, TABLE, direction(0), limit=9)
            assert sorted(texts_of(hits)) == ["kept", "newer"]
            assert all(hit.metadata == {} for hit in hits)

    async def test_newer_rows_take_the_place_of_older_ones_and_equal_ones_are_written_again(self, index: Index) -> None:
        for fence, texts in ((10, ["a", "b", "c"]), (10, ["a", "d"]), (14, ["a", "e"]), (15, ["f"])):
            assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", texts), fence=fence) == len(texts)
            hits = await search_vector(index, TABLE, direction(0), limit=9)
            assert sorted(texts_of(hits)) == texts

    async def test_writers_of_different_attempts_at_once_leave_the_newest(self, index: Index) -> None:
        texts = {fence: [f"{fence} {place}" for place in range(1 + fence % 3)] for fence in range(8)}
        outcomes = await asyncio.gather(
            *(index.upsert(TABLE, "doc_1", rows_of("doc_1", texts[fence]), fence=fence) for fence in (3, 0, 7, 1, 5)),
            return_exceptions=True,
        )
        assert outcomes[2] == len(texts[7])
        assert all(isinstance(outcome, int | Overtaken) for outcome in outcomes)
        assert sorted(texts_of(await search_vector(index, TABLE, direction(0), limit=9))) == texts[7]

    async def test_the_fence_of_a_document_is_that_of_its_newest_rows(self, index: Index) -> None:
        assert await index.fence(TABLE, "doc_1") is None
        for fence in (3, 14):
            await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]), fence=fence)
            assert await index.fence(TABLE, "doc_1") == fence
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["other"]), fence=99)
        assert await index.fence(TABLE, "doc_1") == 14
        await index.erase(TABLE, "doc_1")
        assert await index.fence(TABLE, "doc_1") is None

    async def test_a_late_writer_erases_its_own_rows_only(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]), fence=14)
        assert await index.erase(TABLE, "doc_1", fence=13) == 0
        assert await index.count(TABLE, "doc_1") == 2
        assert await index.erase(TABLE, "doc_1", fence=14) == 2
        assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]), fence=1) == 1

    async def test_rows_without_fences_stay_and_give_way_to_any_attempt(self, index: Index) -> None:
        await index.forget_fences(TABLE)
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]), fence=14)
        await index.forget_fences(TABLE)
        assert sorted(texts_of(await search_vector(index, TABLE, direction(0), limit=9))) == ["one", "two"]
        assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["three"]), fence=1) == 1
        assert texts_of(await search_vector(index, TABLE, direction(0), limit=9)) == ["three"]

    async def test_vectors_are_found_by_what_they_were_made_of(self, index: Index) -> None:
        for number, angle in enumerate((0.1, 0.2)):
            row = rows_of(f"doc_{number}", [f"text {number}"], angle=angle)[0]
            key = vector_key_of("m", DIMENSIONS, row.chunk.text)
            await index.upsert(TABLE, row.document_id, [structs.replace(row, vector_key=key)])
        await index.upsert(TABLE, "doc_3", rows_of("doc_3", ["without"]))
        keys = [vector_key_of("m", DIMENSIONS, text) for text in ("text 0", "text 1", "text 2", "it's")]
        found = await index.vectors(TABLE, [*keys, ""])
        assert found.keys() == set(keys[:2])
        assert np.array_equal(found[keys[0]], direction(0.1))
        assert np.array_equal(found[keys[1]], direction(0.2))
        assert await index.vectors(TABLE, []) == {}
        assert await index.vectors(IndexTable("kb_07none", 1), keys) == {}
        await index.erase(TABLE, "doc_0")
        assert (await index.vectors(TABLE, keys)).keys() == {keys[1]}

    async def test_who_looks_for_vectors_at_the_same_time_gets_what_he_asked_for(self, index: Index) -> None:
        for number in range(4):
            row = rows_of(f"doc_{number}", [f"text {number}"], angle=number / 10)[0]
            await index.upsert(TABLE, row.document_id, [structs.replace(row, vector_key=f"key {number}")])
        asked = [["key 0"], ["key 1", "key 0"], ["key 9"], [], ["key 3", "key 2"]]
        found = await asyncio.gather(*(index.vectors(TABLE, keys) for keys in asked))
        assert [one.keys() for one in found] == [{"key 0"}, {"key 0", "key 1"}, set(), set(), {"key 2", "key 3"}]
        assert np.array_equal(found[4]["key 3"], direction(0.3))

    def test_a_vector_key_tells_models_lengths_and_texts_apart(self) -> None:
        told = {vector_key_of(*about) for about in (("m", 8, "a"), ("n", 8, "a"), ("m", 9, "a"), ("m", 8, "b\ud83d"))}
        assert len(told) == 4
        assert {len(key) for key in told} == {VECTOR_KEY_CHARS}

    async def test_erase_leaves_nothing_of_the_document(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]))
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["two"]))
        assert await index.erase(TABLE, "doc_1") == 2
        assert await index.erase(TABLE, "doc_1") == 0
        assert [hit.document_id for hit in await search_keyword(index, TABLE, "two", limit=5)] == ["doc_2"]
        assert [hit.document_id for hit in await search_vector(index, TABLE, direction(0), limit=5)] == ["doc_2"]

    async def test_a_dropped_table_is_empty_and_can_be_filled_again(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
        await index.drop(TABLE)
        await index.drop(TABLE)
        assert await index.count(TABLE) == 0
        await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["two"]))
        assert await index.count(TABLE) == 1

    async def test_generations_do_not_see_one_another(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
        other = IndexTable(TABLE.knowledge_base_id, 2)
        await index.upsert(other, "doc_1", rows_of("doc_1", ["one", "two"]))
        await index.drop(TABLE)
        assert await index.count(other) == 2

    async def test_knowledge_bases_do_not_see_one_another(self, index: Index) -> None:
        other = IndexTable("kb_07other", TABLE.generation)
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["ours"]))
        await index.upsert(other, "doc_2", rows_of("doc_2", ["theirs"]))
        assert texts_of(await search_vector(index, TABLE, direction(0), limit=9)) == ["ours"]
        assert await search_keyword(index, TABLE, "theirs", limit=9) == []
        assert await index.count(TABLE) == 1
        await index.drop(other)
        assert texts_of(await search_keyword(index, TABLE, "ours", limit=9)) == ["ours"]

    async def test_nearest_rows_come_first_and_no_more_than_the_limit(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["a", "b", "c", "d"]))
        hits = await search_vector(index, TABLE, direction(0.3), limit=2)
        assert texts_of(hits) == ["d", "c"]
        assert hits[0].score > hits[1].score == pytest.approx(np.cos(0.1), abs=1e-4)

    async def test_hits_by_word_know_their_cosine_where_it_is_asked_for(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["flour a", "flour b", "flour c"]))
        plain = await search_keyword(index, TABLE, "flour", limit=5)
        assert [hit.similarity for hit in plain] == [None] * 3
        hits = await search_keyword(index, TABLE, "flour", limit=5, similar_to=direction(0.1))
        by_text = {hit.chunk.text: hit.similarity for hit in hits}
        assert by_text == pytest.approx({"flour a": np.cos(0.1), "flour b": 1.0, "flour c": np.cos(0.1)}, abs=1e-5)
        assert await search_keyword(index, TABLE, "water", limit=5, similar_to=direction(0.1)) == []

    async def test_chunks_are_read_by_document_and_place(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["a", "b", "c"], page=3))
        await index.upsert(TABLE, "d'oc", rows_of("d'oc", ["x", "y"]))
        found = await chunks_of(index, TABLE, {("doc_1", 0), ("doc_1", 2), ("d'oc", 1), ("doc_1", 7), ("none", 0)})
        assert {place: chunk.text for place, chunk in found.items()} == {
            ("doc_1", 0): "a", ("doc_1", 2): "c", ("d'oc", 1): "y",
        }  # fmt: skip
        assert found["doc_1", 2] == rows_of("doc_1", ["a", "b", "c"], page=3)[2].chunk
        assert await chunks_of(index, TABLE, set()) == {}
        assert await chunks_of(index, IndexTable("kb_07none", 1), {("doc_1", 0)}) == {}

    async def test_rare_words_weigh_more_than_common_ones(self, index: Index) -> None:
        texts = ["flour sieve bran", "flour stone water", "flour wheel grain", "flour sack rope"]
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", texts))
        assert texts_of(await search_keyword(index, TABLE, "flour wheel", limit=1)) == ["flour wheel grain"]

    async def test_words_of_a_query_are_never_operators(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["plus and minus", "other thing"]))
        hits = await search_keyword(index, TABLE, '+minus AND NOT "other" {"match": 1} terms:thing ~ * ?', limit=5)
        assert sorted(texts_of(hits)) == ["other thing", "plus and minus"]

    async def test_a_query_without_words_finds_nothing(self, index: Index) -> None:
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
        assert await search_keyword(index, TABLE, "?! —", limit=5) == []

    async def test_a_rare_value_is_found_among_many_better_rows(self, index: Index) -> None:
        for number in range(20):
            texts = [f"flour flour {number} {place}" for place in range(20)]
            await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", texts, lang="en"))
        await index.upsert(TABLE, "doc_rare", rows_of("doc_rare", ["a note on flour"], angle=3.0, lang="zh"))
        await index.optimize(TABLE)
        rare = parse_filters({"metadata.lang": "zh"})
        assert texts_of(await search_keyword(index, TABLE, "flour", limit=3, filters=rare)) == ["a note on flour"]
        assert texts_of(await search_vector(index, TABLE, direction(0), limit=3, filters=rare)) == ["a note on flour"]

    async def test_ids_and_values_with_quotes_are_only_values(self, index: Index) -> None:
        document_id = "doc' OR '1'='1"
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
        await index.upsert(TABLE, document_id, rows_of(document_id, ["two"], note='it\'s \\ "so"; --'))
        assert await index.count(TABLE, document_id) == 1
        note = parse_filters({"metadata.note": 'it\'s \\ "so"; --'})
        assert texts_of(await search_vector(index, TABLE, direction(0), limit=5, filters=note)) == ["two"]
        assert await index.erase(TABLE, document_id) == 1
        assert await index.count(TABLE) == 1

    async def test_rows_that_do_not_belong_together_are_refused(self, index: Index) -> None:
        rows = rows_of("doc_1", ["one", "two"])
        with pytest.raises(KnowledgeError, match="another document"):
            await index.upsert(TABLE, "doc_2", rows)
        with pytest.raises(KnowledgeError, match="twice"):
            await index.upsert(TABLE, "doc_1", [rows[0], rows[0]])
        assert await index.count(TABLE) == 0

    async def test_vectors_of_another_length_than_the_tables_are_refused(self, index: Index) -> None:
        row = rows_of("doc_1", ["one"])[0]
        await index.upsert(TABLE, "doc_1", [row])
        other = IndexRow("doc_2", "b", row.chunk, np.ones(3, dtype=np.float32))
        with pytest.raises(KnowledgeError):
            await index.upsert(TABLE, "doc_2", [other])
        assert await index.count(TABLE) == 1

    async def test_writers_of_many_documents_at_once_lose_nothing(self, index: Index) -> None:
        await asyncio.gather(
            *(index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["a", "b"])) for number in range(8))
        )
        assert await index.count(TABLE) == 16

    async def test_writers_of_one_document_at_once_leave_it_once(self, index: Index) -> None:
        rows = rows_of("doc_1", ["a", "b", "c"])
        await asyncio.gather(*(index.upsert(TABLE, "doc_1", rows) for _ in range(4)))
        assert await index.count(TABLE, "doc_1") == 3

    async def test_it_tells_which_tables_there_are_and_which_documents_lie_in_them(
        self, index: CollectableIndex
    ) -> None:
        assert await index.tables() == []
        other = IndexTable("kb_08test", 12)
        for table, documents in ((TABLE, ("doc_1", "doc_2")), (other, ("doc_1",))):
            for document in documents:
                await index.upsert(table, document, rows_of(document, ["one", "two"]))
        await index.erase(TABLE, "doc_2")
        assert sorted(await index.tables(), key=lambda table: table.knowledge_base_id) == [TABLE, other]
        assert {one async for part in index.documents(TABLE) for one in part} == {"doc_1"}
        assert [part async for part in index.documents(IndexTable("kb_09test", 1))] in ([], [[]])
