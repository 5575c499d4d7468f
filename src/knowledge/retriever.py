"""A query to passages: embed, search both ways, fuse, rerank, highlight, add neighbours."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import msgspec

from knowledge.chunk import indexed_text
from knowledge.embedders import Embedding, QueryEmbedder
from knowledge.errors import EmbeddingError, InvalidSearch, ProviderError
from knowledge.filters import Filter
from knowledge.index import Hit, Index, IndexTable
from knowledge.neighbours import Context, context_of, places_around, run_around
from knowledge.ranking import Fusion, Sides, fuse, highlight, interleave, trim
from knowledge.reranker import Candidate, Reranker
from knowledge.search import (
    Passage,
    Scores,
    SearchMode,
    SearchPlan,
    SearchRequest,
    SearchResult,
    SearchScope,
    SearchWarning,
    checked_filters,
    checked_query,
    plan_of,
)
from knowledge.vectors import Vectors

SCOPES_MAX = 20

NO_RERANKER = SearchWarning("no_reranker", "No reranker is configured; the passages are in the order of the search.")

_NO_VECTOR = "The embedding provider gave no vector for the query ({code}); these passages are found by words alone."


class _Found(msgspec.Struct, frozen=True):
    """A hit with the knowledge base that it comes from."""

    scope: SearchScope
    hit: Hit

    @property
    def key(self) -> str:
        return f"{self.scope.knowledge_base_id}/{self.hit.document_id}/{self.hit.chunk.chunk_id}"


class _Side(msgspec.Struct, frozen=True):
    """What the knowledge bases of one model and weight have."""

    sides: Sides
    found: Mapping[str, _Found]
    warnings: tuple[SearchWarning, ...] = ()


class _Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, best first, with their scores and where each score comes from."""

    order: Sequence[str]
    scores: Mapping[str, float]
    parts: Mapping[str, Scores]
    found: Mapping[str, _Found]
    reranker: str | None = None
    warnings: tuple[SearchWarning, ...] = ()


class Retriever:
    """Searches one or several knowledge bases; `embedder_for` gives what makes vectors to compare with theirs, which
    may take `embed_s_max` for a query: a model that is still being loaded takes as long as that.

    Words are ranked over all knowledge bases as if they were one, meanings over those of one model and weight.
    """

    def __init__(
        self,
        index: Index,
        embedder_for: Callable[[Embedding], QueryEmbedder],
        *,
        reranker: Reranker | None = None,
        embed_s_max: float | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._index = index
        self._embedder_for = embedder_for
        self._reranker = reranker
        self._embed_s_max = embed_s_max
        self._timer = timer

    async def search(self, scopes: Sequence[SearchScope], request: SearchRequest) -> SearchResult:
        """The passages, best first. Raises InvalidSearch, EmbeddingError, IndexUnavailable; never for a reranker."""
        started = self._timer()
        query, filters = checked_query(request), checked_filters(request)
        if not 0 < len(scopes) <= SCOPES_MAX:
            raise InvalidSearch(f"1 to {SCOPES_MAX} knowledge bases can be searched at once", "/knowledge_base_ids")
        plan = plan_of(request, reranks_by_default=self._reranker is not None and self._reranker.is_default)
        sides = await self._sides(scopes, query, filters, request, plan)
        ranking = _ranking(sides, request, _fusion(scopes, request))
        if plan.reranked:
            ranking = await self._reranked(ranking, query, plan)
        best = trim(ranking.order, ranking.scores, top_k=request.top_k, min_score=request.min_score)
        contexts = await self._contexts([ranking.found[key] for key in best], plan.neighbours)
        passages = [
            _passage(ranking.found[key], ranking.scores[key], ranking.parts[key], query, contexts.get(key))
            for key in best
        ]
        return SearchResult(
            tuple(passages),
            round((self._timer() - started) * 1_000, 3),
            request.mode,
            request.profile,
            ranking.reranker,
            ranking.warnings,
        )

    async def _sides(
        self,
        scopes: Sequence[SearchScope],
        query: str,
        filters: Filter,
        request: SearchRequest,
        plan: SearchPlan,
    ) -> list[_Side]:
        """What both sides found, by model and weight."""
        groups = _by_model(scopes, request.vector_weight)
        return await asyncio.gather(
            *(self._side(group, weight, query, filters, request.mode, plan) for (_, weight), group in groups.items())
        )

    async def _side(
        self,
        scopes: list[SearchScope],
        vector_weight: float,
        query: str,
        filters: Filter,
        mode: SearchMode,
        plan: SearchPlan,
    ) -> _Side:
        """Where its provider gives no vector now, a hybrid search goes by the words alone, and says so."""
        vector: Vectors | None = None
        warnings: tuple[SearchWarning, ...] = ()
        if mode is not SearchMode.KEYWORD:
            try:
                vector = await self._embedded(scopes[0].embedding, query)
            except EmbeddingError as error:
                if mode is SearchMode.VECTOR or not error.is_outage:
                    raise
                warnings = (SearchWarning("no_vector", _NO_VECTOR.format(code=error.code)),)
        by_word, by_vector = await asyncio.gather(
            self._by_keyword(scopes, query, filters, plan.hits, vector)
            if mode is not SearchMode.VECTOR
            else _nothing(),
            self._by_vector(scopes, vector, filters, plan.hits) if vector is not None else _nothing(),
        )
        near = {item.key: item.hit.similarity for item in by_word if item.hit.similarity is not None}
        near |= {item.key: item.hit.score for item in by_vector}
        weight = vector_weight if vector is not None or mode is SearchMode.KEYWORD else 0.0
        sides = Sides({item.key: item.hit.score for item in by_word}, near, weight)
        return _Side(sides, {item.key: item for item in (*by_word, *by_vector)}, warnings)

    async def _embedded(self, embedding: Embedding, query: str) -> Vectors:
        try:
            async with asyncio.timeout(self._embed_s_max):
                return await self._embedder_for(embedding).embed_query(query)
        except TimeoutError:
            model = embedding.model
            raise EmbeddingError("embedding_timeout", f"{model} gave no vector in {self._embed_s_max:g} s") from None

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

    async def _reranked(self, ranking: _Ranking, query: str, plan: SearchPlan) -> _Ranking:
        """The best ones in the order that the reranker gives them; as they were, with a warning, where it cannot."""
        if self._reranker is None:
            return msgspec.structs.replace(ranking, warnings=(*ranking.warnings, NO_RERANKER))
        best = ranking.order[: plan.reranked]
        candidates = [Candidate(indexed_text(ranking.found[key].hit.chunk), ranking.scores[key]) for key in best]
        try:
            given = await self._reranker.rerank(query, candidates)
        except ProviderError as error:
            message = f"The reranker gave no answer ({error.code}); the passages are in the order of the search."
            warning = SearchWarning("reranker_unavailable", message)
            return msgspec.structs.replace(ranking, warnings=(*ranking.warnings, warning))
        scores = dict(zip(best, given, strict=True))
        parts = {key: msgspec.structs.replace(ranking.parts[key], rerank=score) for key, score in scores.items()}
        order = sorted(best, key=lambda key: -scores[key])
        return msgspec.structs.replace(ranking, order=order, scores=scores, parts=parts, reranker=self._reranker.model)

    async def _contexts(self, found: Sequence[_Found], neighbours: int) -> Mapping[str, Context]:
        if not neighbours:
            return {}
        by_scope: dict[SearchScope, list[_Found]] = {}
        for item in found:
            by_scope.setdefault(item.scope, []).append(item)
        parts = await asyncio.gather(
            *(self._contexts_in(scope, items, neighbours) for scope, items in by_scope.items())
        )
        return {key: context for part in parts for key, context in part.items()}

    async def _contexts_in(self, scope: SearchScope, items: Sequence[_Found], neighbours: int) -> Mapping[str, Context]:
        around = {item.key: places_around(item.hit.document_id, item.hit.chunk.ordinal, neighbours) for item in items}
        there = await self._index.chunks(_table(scope), {place for places in around.values() for place in places})
        return {
            item.key: context_of(
                run_around(item.hit.chunk, [there[place] for place in around[item.key] if place in there])
            )
            for item in items
        }


def _fusion(scopes: Sequence[SearchScope], request: SearchRequest) -> Fusion:
    """What was asked for, else what all the knowledge bases have, else the default."""
    if request.fusion is not None:
        return request.fusion
    chosen = {scope.fusion for scope in scopes}
    return chosen.pop() if len(chosen) == 1 else Fusion.CONVEX


def _ranking(models: Sequence[_Side], request: SearchRequest, fusion: Fusion) -> _Ranking:
    sides = [one.sides for one in models]
    keyword = {key: score for one in sides for key, score in one.keyword.items()}
    near = {key: score for one in sides for key, score in one.vector.items()}
    fused: Mapping[str, float] = {}
    match request.mode:
        case SearchMode.KEYWORD:
            scores, order = keyword, interleave([keyword])
        case SearchMode.VECTOR:
            scores, order = near, interleave([one.vector for one in sides])
        case SearchMode.HYBRID:
            fused = fuse(sides, fusion)
            scores, order = fused, interleave([fused])
        case _:
            assert_never(request.mode)
    parts = {key: Scores(keyword.get(key), near.get(key), fused.get(key)) for key in scores}
    found = {key: item for one in models for key, item in one.found.items()}
    warnings = tuple(dict.fromkeys(warning for one in models for warning in one.warnings))
    return _Ranking(order=order, scores=scores, parts=parts, found=found, warnings=warnings)


async def _nothing() -> list[_Found]:
    return []


def _by_model(
    scopes: Sequence[SearchScope], vector_weight: float | None
) -> Mapping[tuple[Embedding, float], list[SearchScope]]:
    groups: dict[tuple[Embedding, float], list[SearchScope]] = {}
    for scope in dict.fromkeys(scopes):
        weight = scope.vector_weight if vector_weight is None else vector_weight
        groups.setdefault((scope.embedding, weight), []).append(scope)
    return groups


def _table(scope: SearchScope) -> IndexTable:
    return IndexTable(scope.knowledge_base_id, scope.generation)


def _best(scopes: Sequence[SearchScope], hits: Sequence[list[Hit]], limit: int) -> list[_Found]:
    """The best of several tables; a chunk that a racing writer left twice counts once."""
    found = [_Found(scope, hit) for scope, some in zip(scopes, hits, strict=True) for hit in some]
    found.sort(key=lambda item: (-item.hit.score, item.key))
    unique: dict[str, _Found] = {}
    for item in found:
        unique.setdefault(item.key, item)
    return list(unique.values())[:limit]


def _passage(found: _Found, score: float, scores: Scores, query: str, context: Context | None) -> Passage:
    hit, chunk = found.hit, found.hit.chunk
    return Passage(
        chunk_id=chunk.chunk_id,
        document_id=hit.document_id,
        knowledge_base_id=found.scope.knowledge_base_id,
        filename=hit.filename,
        text=chunk.text,
        score=score,
        scores=scores,
        page=chunk.page,
        span=(chunk.start, chunk.end),
        headings=chunk.headings,
        highlights=highlight(chunk.text, query),
        metadata=hit.metadata,
        context=context,
        parent_text=chunk.context,
    )
