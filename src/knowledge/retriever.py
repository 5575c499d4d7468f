"""A query to passages: embed, search both ways, fuse, rerank, highlight, add neighbours."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from knowledge.chunk import indexed_text
from knowledge.embedders import Embedding, QueryEmbedder
from knowledge.errors import EmbeddingError, InvalidSearch, ProviderError
from knowledge.filters import Filter
from knowledge.index import Index, IndexTable
from knowledge.neighbours import Context, context_of, places_around, run_around
from knowledge.placed_rows import FoundRow
from knowledge.ranked import Ranking, rank
from knowledge.ranking import Fusion, highlight, trim
from knowledge.reranker import Candidate, Reranker
from knowledge.search import (
    Passage,
    Scores,
    SearchPlan,
    SearchRequest,
    SearchResult,
    SearchScope,
    SearchWarning,
    checked_filters,
    checked_query,
    plan_of,
)
from knowledge.sides import Asked, OpenScope, find
from knowledge.together import together
from knowledge.vectors import Vectors

SCOPES_MAX = 20

NO_RERANKER = SearchWarning("no_reranker", "No reranker is configured; the passages are in the order of the search.")


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
        async with AsyncExitStack() as stack:
            ranking = await self._ranked(await self._opened(scopes, stack), query, filters, request, plan)
            if plan.reranked:
                ranking = await self._reranked(ranking, query, plan)
            best = trim(ranking.order, ranking.scores, top_k=request.top_k, min_score=request.min_score)
            contexts = await _contexts([ranking.rows[name] for name in best], plan.neighbours)
        passages = [
            _passage(ranking.rows[name], ranking.scores[name], ranking.parts[name], query, contexts.get(name))
            for name in best
        ]
        return SearchResult(
            tuple(passages),
            round((self._timer() - started) * 1_000, 3),
            request.mode,
            request.profile,
            ranking.reranker,
            ranking.warnings,
        )

    async def _opened(self, scopes: Sequence[SearchScope], stack: AsyncExitStack) -> list[OpenScope]:
        """Each knowledge base once."""

        async def opened(number: int, scope: SearchScope) -> OpenScope:
            table = IndexTable(scope.knowledge_base_id, scope.generation)
            return OpenScope(number, scope, await stack.enter_async_context(self._index.reading(table)))

        return await together(opened(number, scope) for number, scope in enumerate(dict.fromkeys(scopes)))

    async def _ranked(
        self, scopes: Sequence[OpenScope], query: str, filters: Filter, request: SearchRequest, plan: SearchPlan
    ) -> Ranking:
        """As many as the reranker reads, else as are answered."""
        asked = Asked(query, filters, request.mode, plan.hits)
        models = await find(scopes, request.vector_weight, asked, self._embedded)
        fusion = _fusion([one.scope for one in scopes], request)
        return await rank(models, request.mode, fusion, plan.reranked or request.top_k)

    async def _embedded(self, embedding: Embedding, query: str) -> Vectors:
        try:
            async with asyncio.timeout(self._embed_s_max):
                return await self._embedder_for(embedding).embed_query(query)
        except TimeoutError:
            model = embedding.model
            raise EmbeddingError("embedding_timeout", f"{model} gave no vector in {self._embed_s_max:g} s") from None

    async def _reranked(self, ranking: Ranking, query: str, plan: SearchPlan) -> Ranking:
        """The best ones in the order that the reranker gives them; as they were, with a warning, where it cannot."""
        if self._reranker is None:
            return msgspec.structs.replace(ranking, warnings=(*ranking.warnings, NO_RERANKER))
        best = ranking.order[: plan.reranked]
        candidates = [Candidate(indexed_text(ranking.rows[key].hit.chunk), ranking.scores[key]) for key in best]
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


def _fusion(scopes: Sequence[SearchScope], request: SearchRequest) -> Fusion:
    """What was asked for, else what all the knowledge bases have, else the default."""
    if request.fusion is not None:
        return request.fusion
    chosen = {scope.fusion for scope in scopes}
    return chosen.pop() if len(chosen) == 1 else Fusion.CONVEX


async def _contexts(rows: Sequence[FoundRow], neighbours: int) -> Mapping[str, Context]:
    """What stands around each row, by its name."""
    if not neighbours:
        return {}
    by_scope: dict[OpenScope, list[FoundRow]] = {}
    for row in rows:
        by_scope.setdefault(row.opened, []).append(row)
    parts = await together(_contexts_in(opened, some, neighbours) for opened, some in by_scope.items())
    return {name: context for part in parts for name, context in part.items()}


async def _contexts_in(opened: OpenScope, rows: Sequence[FoundRow], neighbours: int) -> Mapping[str, Context]:
    around = {row.name: places_around(row.hit.document_id, row.hit.chunk.ordinal, neighbours) for row in rows}
    there = await opened.reader.chunks({place for places in around.values() for place in places})
    return {
        row.name: context_of(run_around(row.hit.chunk, [there[place] for place in around[row.name] if place in there]))
        for row in rows
    }


def _passage(row: FoundRow, score: float, scores: Scores, query: str, context: Context | None) -> Passage:
    hit, chunk = row.hit, row.hit.chunk
    return Passage(
        chunk_id=chunk.chunk_id,
        document_id=hit.document_id,
        knowledge_base_id=row.scope.knowledge_base_id,
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
