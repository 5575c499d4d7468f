import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from knowledge.embedders import Embedder, Embedding
from knowledge.errors import EmbeddingError, InvalidSearch
from knowledge.filters import EVERYTHING, Filter
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import Hit, IndexRow, IndexTable, Match, TableReader
from knowledge.memory_index import MemoryIndex
from knowledge.ranking import Fusion
from knowledge.retriever import Retriever
from knowledge.search import SearchMode, SearchProfile, SearchRequest, SearchScope
from knowledge.vectors import Vectors
from tests.contract.index_contract import rows_of

TEXTS = [
    "The millstone is dressed in spring.",
    "Rye flour is sold in sacks of 25 kg.",
    "石磨每年春天重新开槽。",
    "Part MS-204/B holds the wheel.",
]
SCOPE = SearchScope("kb_one", 1, "hash", 0.3)
OTHER = SearchScope("kb_two", 4, "hash", 0.3)


async def filled(texts: Sequence[str] = TEXTS) -> MemoryIndex:
    index, embedder = MemoryIndex(), HashEmbedder()
    for number, (text, vector) in enumerate(zip(texts, await embedder.embed_passages(texts), strict=True)):
        row = rows_of(f"doc_{number}", [text], page=number + 1, number=number)[0]
        written = IndexRow(row.document_id, row.filename, row.chunk, vector, row.metadata)
        await index.upsert(IndexTable("kb_one", 1), row.document_id, [written])
        if number % 2:
            await index.upsert(IndexTable("kb_two", 4), row.document_id, [written])
    return index


def retriever_over(index: MemoryIndex) -> Retriever:
    ticks = count()
    return Retriever(index, lambda _: HashEmbedder(), timer=lambda: (next(ticks) % 2) * 0.002)


@pytest.mark.parametrize("mode", list(SearchMode))
@pytest.mark.parametrize(
    ("query", "document_id"),
    [("dressing the millstones", "doc_0"), ("rye flour sacks", "doc_1"), ("石磨开槽", "doc_2"), ("MS-204/B", "doc_3")],
)
async def test_the_passage_that_answers_comes_first(mode: SearchMode, query: str, document_id: str) -> None:
    result = await retriever_over(await filled()).search([SCOPE], SearchRequest(query, mode=mode))
    assert result.passages[0].document_id == document_id
    assert (result.mode, result.took_ms) == (mode, 2.0)
    scores = [passage.score for passage in result.passages]
    assert scores == sorted(scores, reverse=True)


async def test_a_passage_says_where_it_stands_and_why_it_was_found() -> None:
    result = await retriever_over(await filled()).search([SCOPE], SearchRequest("rye flour", top_k=1))
    (passage,) = result.passages
    assert (passage.knowledge_base_id, passage.filename, passage.page) == ("kb_one", "doc_1.txt", 2)
    assert passage.text[slice(*passage.span)] == passage.text == TEXTS[1]
    assert [passage.text[slice(*span)] for span in passage.highlights] == ["Rye", "flour"]
    assert passage.scores.keyword is not None
    assert passage.scores.keyword > 0
    assert passage.scores.vector == pytest.approx(float(passage.scores.vector or 0))
    assert (passage.headings, dict(passage.metadata), passage.score) == (("Handbook",), {"number": 1}, 1.0)
    assert (passage.scores.fused, passage.scores.rerank, passage.context) == (1.0, None, None)


@pytest.mark.parametrize(
    ("mode", "sides"),
    [(SearchMode.KEYWORD, (True, False)), (SearchMode.VECTOR, (False, True)), (SearchMode.HYBRID, (True, True))],
)
async def test_a_mode_asks_only_its_sides(mode: SearchMode, sides: tuple[bool, bool]) -> None:
    asked: list[str] = []

    def embedder_for(embedding: Embedding) -> Embedder:
        asked.append(embedding.model)
        return HashEmbedder()

    result = await Retriever(await filled(), embedder_for).search([SCOPE], SearchRequest("rye flour", mode=mode))
    best = result.passages[0].scores
    assert (best.keyword is not None, best.vector is not None) == sides
    assert asked == (["hash"] if sides[1] else [])


class Loading(HashEmbedder):
    """A model that never comes."""

    async def embed_query(self, text: str) -> Vectors:
        await asyncio.Event().wait()
        return await super().embed_query(text)


async def test_while_a_model_is_being_loaded_words_are_found_and_meanings_are_not_waited_for_without_end() -> None:
    retriever = Retriever(await filled(), lambda _: Loading(), embed_s_max=0.01)
    found = await retriever.search([SCOPE], SearchRequest("rye flour", mode=SearchMode.KEYWORD))
    assert found.passages[0].document_id == "doc_1"
    for mode in (SearchMode.HYBRID, SearchMode.VECTOR):
        with pytest.raises(EmbeddingError) as raised:
            await retriever.search([SCOPE], SearchRequest("rye flour", mode=mode))
        assert (raised.value.code, raised.value.is_permanent) == ("embedding_timeout", False)


class AfterWords(HashEmbedder):
    """A model that has the vector once words have been asked for."""

    def __init__(self, asked: asyncio.Event) -> None:
        super().__init__()
        self._asked = asked

    async def embed_query(self, text: str) -> Vectors:
        await self._asked.wait()
        return await super().embed_query(text)


class Watched(MemoryIndex):
    """Notes what its readers are asked: `words` is set by the first search for them."""

    def __init__(self, rows: MemoryIndex) -> None:
        super().__init__()
        self.words = asyncio.Event()
        self.read: list[int] = []
        self._rows = rows

    @asynccontextmanager
    async def reading(self, table: IndexTable) -> AsyncIterator[TableReader]:
        async with self._rows.reading(table) as reader:
            yield _WatchedReader(self, reader)


class _WatchedReader:
    def __init__(self, index: Watched, reader: TableReader) -> None:
        self._index = index
        self._reader = reader
        self.by_vector = reader.by_vector
        self.chunks = reader.chunks

    async def by_words(
        self,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: asyncio.Future[Vectors | None] | None = None,
    ) -> list[Match]:
        self._index.words.set()
        return await self._reader.by_words(query, limit=limit, filters=filters, similar_to=similar_to)

    async def read(self, matches: Sequence[Match]) -> list[Hit]:
        self._index.read.append(len(matches))
        return await self._reader.read(matches)


async def test_words_are_looked_for_while_the_model_makes_the_vector() -> None:
    index = Watched(await filled())
    async with asyncio.timeout(5):
        found = await Retriever(index, lambda _: AfterWords(index.words)).search([SCOPE], SearchRequest("rye flour"))
    assert found.passages == (await retriever_over(await filled()).search([SCOPE], SearchRequest("rye flour"))).passages


async def test_only_rows_that_are_answered_are_read() -> None:
    many = [f"wheel number {number} of {number % 7} mills" for number in range(150)]
    index = Watched(await filled(many))
    await Retriever(index, lambda _: HashEmbedder()).search([SCOPE], SearchRequest("number 5 wheel"))
    assert sum(index.read) < 20, "of 150 that were found"


async def test_equal_scores_go_by_document_and_chunk_whatever_the_index_calls_its_rows() -> None:
    index, embedder = MemoryIndex(), HashEmbedder()
    vector = await embedder.embed_query("the same words")
    for number in (3, 1, 2, 0):
        row = structs.replace(rows_of(f"doc_{number}", ["the same words"])[0], vector=vector)
        await index.upsert(IndexTable("kb_one", 1), row.document_id, [row])
    for fusion in Fusion:
        request = SearchRequest("same words", top_k=2, fusion=fusion)
        found = await retriever_over(index).search([SCOPE], request)
        assert [passage.document_id for passage in found.passages] == ["doc_0", "doc_1"]


class Refused(HashEmbedder):
    """A provider that answers nobody just now, or a model that nobody can make."""

    def __init__(self, code: str, *, is_permanent: bool = False) -> None:
        super().__init__()
        self._error = EmbeddingError(code, "no", retry_after_s=7, is_permanent=is_permanent)

    async def embed_query(self, text: str) -> Vectors:
        raise self._error


@pytest.mark.parametrize("code", ["provider_limited", "provider_busy", "provider_down", "provider_503"])
async def test_a_hybrid_search_without_its_vector_goes_by_words_and_says_so(code: str) -> None:
    retriever = Retriever(await filled(), lambda _: Refused(code))
    found = await retriever.search([SCOPE], SearchRequest("rye flour"))
    by_word = await retriever.search([SCOPE], SearchRequest("rye flour", mode=SearchMode.KEYWORD))
    assert [one.chunk_id for one in found.passages] == [one.chunk_id for one in by_word.passages]
    assert found.passages[0].score == 1.0, "words have all the weight"
    assert [(warning.code, code in warning.message) for warning in found.warnings] == [("no_vector", True)]
    assert by_word.warnings == ()
    with pytest.raises(EmbeddingError) as raised:
        await retriever.search([SCOPE], SearchRequest("rye flour", mode=SearchMode.VECTOR))
    assert raised.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("code", "is_permanent"), [("embedding_rejected", True), ("dimensions_changed", True), ("model_failed", False)]
)
async def test_a_model_that_needs_a_person_is_an_error_in_every_mode_that_asks_it(
    code: str, is_permanent: bool
) -> None:
    retriever = Retriever(await filled(), lambda _: Refused(code, is_permanent=is_permanent))
    for mode in (SearchMode.HYBRID, SearchMode.VECTOR):
        with pytest.raises(EmbeddingError):
            await retriever.search([SCOPE], SearchRequest("rye flour", mode=mode))


async def test_hits_by_word_alone_get_their_cosine_too() -> None:
    many = [f"wheel number {number}" for number in range(150)] + ["zymurgy"]
    result = await retriever_over(await filled(many)).search([SCOPE], SearchRequest("zymurgy wheel", top_k=100))
    assert all(passage.scores.vector is not None for passage in result.passages)
    assert result.passages[0].text == "zymurgy"


async def test_filters_documents_top_k_and_min_score_bound_the_answer() -> None:
    retriever = retriever_over(await filled())
    by_filter = await retriever.search([SCOPE], SearchRequest("mill", filters={"metadata.number": {"gte": 2}}))
    assert {passage.document_id for passage in by_filter.passages} == {"doc_2", "doc_3"}
    by_document = await retriever.search([SCOPE], SearchRequest("mill", document_ids=["doc_1", "doc_1", "none"]))
    assert {passage.document_id for passage in by_document.passages} == {"doc_1"}
    both = SearchRequest("mill", document_ids=["doc_1"], filters={"page": 3})
    assert (await retriever.search([SCOPE], both)).passages == ()
    assert len((await retriever.search([SCOPE], SearchRequest("mill", top_k=2))).passages) == 2
    strict = await retriever.search([SCOPE], SearchRequest("rye flour", min_score=0.9))
    assert [passage.document_id for passage in strict.passages] == ["doc_1"]


async def test_several_knowledge_bases_are_one_ranking() -> None:
    result = await retriever_over(await filled()).search([SCOPE, OTHER, OTHER], SearchRequest("rye flour", top_k=2))
    assert [(passage.knowledge_base_id, passage.document_id) for passage in result.passages] == [
        ("kb_one", "doc_1"),
        ("kb_two", "doc_1"),
    ]


async def test_knowledge_bases_of_two_models_are_merged_by_score() -> None:
    strong = SearchScope("kb_two", 4, "another", 0.5)
    result = await retriever_over(await filled()).search([SCOPE, strong], SearchRequest("rye flour"))
    assert {passage.knowledge_base_id for passage in result.passages[:2]} == {"kb_one", "kb_two"}
    assert len(result.passages) == 6


async def test_rank_fusion_can_be_asked_for() -> None:
    request = SearchRequest("rye flour", fusion=Fusion.RRF)
    assert (await retriever_over(await filled()).search([SCOPE], request)).passages[0].document_id == "doc_1"


async def test_knowledge_bases_say_how_their_sides_are_fused_unless_the_request_does() -> None:
    retriever = retriever_over(await filled())
    by_rank = SearchScope("kb_one", 1, "hash", 0.3, Fusion.RRF)
    ranked = await retriever.search([by_rank], SearchRequest("rye flour"))
    assert ranked == await retriever.search([SCOPE], SearchRequest("rye flour", fusion=Fusion.RRF))
    scored = await retriever.search([by_rank, OTHER], SearchRequest("rye flour"))
    assert scored == await retriever.search([SCOPE, OTHER], SearchRequest("rye flour"))


async def test_a_request_may_weigh_the_sides_itself() -> None:
    retriever = retriever_over(await filled())
    by_words = await retriever.search([SCOPE], SearchRequest("rye flour", vector_weight=0.0))
    assert [passage.score for passage in by_words.passages[1:]] == [0.0] * 3
    by_meaning = await retriever.search([SCOPE], SearchRequest("rye flour", vector_weight=1.0))
    assert by_meaning.passages[0].score == 1.0
    assert by_meaning.passages[1].score > 0


async def test_one_model_without_the_words_does_not_rise_beside_one_that_has_them() -> None:
    strong = SearchScope("kb_two", 4, "another", 0.3)
    result = await retriever_over(await filled()).search([SCOPE, strong], SearchRequest("millstone dressed spring"))
    assert (result.passages[0].knowledge_base_id, result.passages[0].document_id) == ("kb_one", "doc_0")
    assert all(one.score <= 0.3 for one in result.passages if one.knowledge_base_id == "kb_two")


async def test_meanings_of_two_models_take_turns() -> None:
    strong = SearchScope("kb_two", 4, "another", 0.3)
    request = SearchRequest("rye flour", mode=SearchMode.VECTOR, top_k=4)
    result = await retriever_over(await filled()).search([SCOPE, strong], request)
    assert [one.knowledge_base_id for one in result.passages] == ["kb_one", "kb_two", "kb_one", "kb_two"]


PARTS = ["The wheel turns.", "Dress the stone in spring.", "Then grind rye.", "Sell the flour.", "Rest."]


async def book() -> MemoryIndex:
    """One document in five chunks that overlap by nothing, with a blank between them."""
    index, start = MemoryIndex(), 0
    rows = []
    for row, vector in zip(rows_of("book", PARTS, page=1), await HashEmbedder().embed_passages(PARTS), strict=True):
        chunk = structs.replace(row.chunk, start=start, end=start + len(row.chunk.text))
        start = chunk.end + 1
        rows.append(structs.replace(row, chunk=chunk, vector=vector))
    await index.upsert(IndexTable("kb_one", 1), "book", rows)
    return index


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [({"neighbours": 1}, 0, 3), ({"neighbours": 5}, 0, 5), ({"profile": SearchProfile.ENHANCED}, 0, 3)],
)
async def test_neighbours_come_as_one_text_in_reading_order(asked: dict[str, Any], first: int, last: int) -> None:
    request = SearchRequest("dress the stone in spring", mode=SearchMode.KEYWORD, top_k=1, **asked)
    (passage,) = (await retriever_over(await book()).search([SCOPE], request)).passages
    assert passage.text == PARTS[1]
    assert passage.context is not None
    assert passage.context.text == "\n".join(PARTS[first:last])
    assert len(passage.context.chunk_ids) == last - first
    assert passage.context.span == (0, len(" ".join(PARTS[first:last])))


async def test_the_enhanced_profile_may_be_asked_for_without_neighbours() -> None:
    request = SearchRequest("spring", profile=SearchProfile.ENHANCED, neighbours=0)
    result = await retriever_over(await book()).search([SCOPE], request)
    assert (result.profile, result.passages[0].context) == (SearchProfile.ENHANCED, None)


async def test_an_empty_knowledge_base_answers_nothing() -> None:
    assert (await retriever_over(MemoryIndex()).search([SCOPE], SearchRequest("mill"))).passages == ()


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"query": " \n"}, "/query"),
        ({"query": "x" * 2_001}, "/query"),
        ({"query": "mill", "top_k": 0}, "/top_k"),
        ({"query": "mill", "top_k": 101}, "/top_k"),
        ({"query": "mill", "neighbours": 6}, "/neighbours"),
        ({"query": "mill", "vector_weight": -0.1}, "/vector_weight"),
        ({"query": "mill", "filters": {"colour": 1}}, "/filters/colour"),
    ],
)
async def test_a_search_that_breaks_a_rule_is_refused(settings: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidSearch) as refusal:
        await retriever_over(MemoryIndex()).search([SCOPE], SearchRequest(**settings))
    assert refusal.value.pointer == pointer


async def test_a_search_of_no_or_of_too_many_knowledge_bases_is_refused() -> None:
    for scopes in ([], [SCOPE] * 21):
        with pytest.raises(InvalidSearch, match="1 to 20"):
            await retriever_over(MemoryIndex()).search(scopes, SearchRequest("mill"))


def test_hash_vectors_tell_the_texts_apart() -> None:
    vectors = np.array([HashEmbedder().counts(text) for text in TEXTS])
    assert np.linalg.matrix_rank(vectors) == len(TEXTS)
