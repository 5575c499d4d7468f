"""A query to passages: embed, search both ways, fuse, highlight."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import msgspec

from knowledge.embedders import Embedder
from knowledge.errors import InvalidSearch
from knowledge.filters import Filter
from knowledge.index import Hit, Index, IndexTable
from knowledge.ranking import CANDIDATES, fuse, highlight, trim
from knowledge.search import (
    Passage,
    Scores,
    SearchMode,
    SearchRequest,
    SearchResult,
    SearchScope,
    checked_filters,
    checked_query,
)
from knowledge.vectors import Vectors

SCOPES_MAX = 20


class _Found(msgspec.Struct, frozen=True):
    """A hit with the knowledge base that it comes from."""

    knowledge_base_id: str
    hit: Hit

    @property
    def key(self) -> str:
        return f"{self.knowledge_base_id}/{self.hit.document_id}/{self.hit.chunk.chunk_id}"


class Retriever:
    """Searches one or several knowledge bases; `embedder_for` gives the embedder of a model's name.

    Knowledge bases of one model and weight are ranked as if they were one; those of different models are fused on
    their own and then merged by score.
    """

    def __init__(
        self,
        index: Index,
        embedder_for: Callable[[str], Embedder],
        *,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._index = index
        self._embedder_for = embedder_for
        self._timer = timer

    async def search(self, scopes: Sequence[SearchScope], request: SearchRequest) -> SearchResult:
        """The passages, best first. Raises InvalidSearch, EmbeddingError, IndexUnavailable."""
        started = self._timer()
        query, filters = checked_query(request), checked_filters(request)
        if not 0 < len(scopes) <= SCOPES_MAX:
            raise InvalidSearch(f"1 to {SCOPES_MAX} knowledge bases can be searched at once", "/knowledge_base_ids")
        groups = _by_model(scopes)
        ranked = await asyncio.gather(
            *(self._ranked(group, weight, query, filters, request) for (_, weight), group in groups.items())
        )
        passages = [passage for group in ranked for passage in group]
        passages.sort(key=lambda passage: (-passage.score, passage.knowledge_base_id, passage.chunk_id))
        took_ms = (self._timer() - started) * 1_000
        return SearchResult(tuple(passages[: request.top_k]), round(took_ms, 3), request.mode)

    async def _ranked(
        self, scopes: list[SearchScope], vector_weight: float, query: str, filters: Filter, request: SearchRequest
    ) -> list[Passage]:
        """The passages of knowledge bases that share a model."""
        limit = max(CANDIDATES, request.top_k)
        vector: Vectors | None = None
        if request.mode is not SearchMode.KEYWORD:
            vector = await self._embedder_for(scopes[0].embedding_model).embed_query(query)
        by_word, by_vector = await asyncio.gather(
            self._by_keyword(scopes, query, filters, limit, vector)
            if request.mode is not SearchMode.VECTOR
            else _nothing(),
            self._by_vector(scopes, vector, filters, limit) if vector is not None else _nothing(),
        )
        keyword = {item.key: item.hit.score for item in by_word}
        near = {item.key: item.hit.similarity for item in by_word if item.hit.similarity is not None}
        near |= {item.key: item.hit.score for item in by_vector}
        scores = _fused(keyword, near, request, vector_weight)
        found = {item.key: item for item in (*by_word, *by_vector)}
        best = trim(scores, top_k=request.top_k, min_score=request.min_score)
        return [_passage(found[key], scores[key], Scores(keyword.get(key), near.get(key)), query) for key in best]

    async def _by_keyword(
        self, scopes: list[SearchScope], query: str, filters: Filter, limit: int, similar_to: Vectors | None
    ) -> list[_Found]:
        searches = (
            self._index.search_keyword(_table(scope), query, limit=limit, filters=filters, similar_to=similar_to)
            for scope in scopes
        )
        return _best(scopes, await asyncio.gather(*searches), limit)

    async def _by_vector(self, scopes: list[SearchScope], vector: Vectors, filters: Filter, limit: int) -> list[_Found]:
        searches = (self._index.search_vector(_table(scope), vector, limit=limit, filters=filters) for scope in scopes)
        return _best(scopes, await asyncio.gather(*searches), limit)


def _fused(
    keyword: Mapping[str, float], near: Mapping[str, float], request: SearchRequest, vector_weight: float
) -> Mapping[str, float]:
    match request.mode:
        case SearchMode.KEYWORD:
            return keyword
        case SearchMode.VECTOR:
            return near
        case SearchMode.HYBRID:
            return fuse(keyword, near, fusion=request.fusion, vector_weight=vector_weight)
        case _:
            assert_never(request.mode)


async def _nothing() -> list[_Found]:
    return []


def _by_model(scopes: Sequence[SearchScope]) -> Mapping[tuple[str, float], list[SearchScope]]:
    groups: dict[tuple[str, float], list[SearchScope]] = {}
    for scope in dict.fromkeys(scopes):
        groups.setdefault((scope.embedding_model, scope.vector_weight), []).append(scope)
    return groups


def _table(scope: SearchScope) -> IndexTable:
    return IndexTable(scope.knowledge_base_id, scope.generation)


def _best(scopes: Sequence[SearchScope], hits: Sequence[list[Hit]], limit: int) -> list[_Found]:
    """The best of several tables; a chunk that a racing writer left twice counts once."""
    found = [_Found(scope.knowledge_base_id, hit) for scope, some in zip(scopes, hits, strict=True) for hit in some]
    found.sort(key=lambda item: (-item.hit.score, item.key))
    unique: dict[str, _Found] = {}
    for item in found:
        unique.setdefault(item.key, item)
    return list(unique.values())[:limit]


def _passage(found: _Found, score: float, scores: Scores, query: str) -> Passage:
    hit, chunk = found.hit, found.hit.chunk
    return Passage(
        chunk_id=chunk.chunk_id,
        document_id=hit.document_id,
        knowledge_base_id=found.knowledge_base_id,
        filename=hit.filename,
        text=chunk.text,
        score=score,
        scores=scores,
        page=chunk.page,
        span=(chunk.start, chunk.end),
        headings=chunk.headings,
        highlights=highlight(chunk.text, query),
        metadata=hit.metadata,
    )
