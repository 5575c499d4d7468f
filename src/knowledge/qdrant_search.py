"""Reading a collection of Qdrant: by vector, by words with the cosines that fusing needs (one call), by vector key."""

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from qdrant_client import models

from knowledge.chunk import Chunk
from knowledge.filters import EVERYTHING, Filter, matches
from knowledge.index import IndexTable
from knowledge.neighbours import Place
from knowledge.qdrant_collection import SCROLLED_MAX, Collection, is_any, is_value, within
from knowledge.qdrant_filters import has_text_range, wide_condition
from knowledge.qdrant_points import (
    CHUNK_FIELDS,
    DENSE,
    HIT_FIELDS,
    TERMS,
    Found,
    chunk_of,
    found_of,
    newest_of,
    payload_of,
    vector_of,
)
from knowledge.vectors import Vectors

GRAPH_EF: Final = 256
"""How many rows a search through a graph keeps in view; Qdrant's own default is 100, as many as a search wants."""

_PAGE_GROWTH: Final = 4
_PAGE_MAX: Final = 5_000
_ROWS_PER_KEY: Final = 4
_ROWS_MORE: Final = 64

_Ask = Callable[[int, int], Awaitable[list[Found]]]


class QdrantSearch:
    """`is_exact`: each vector of the table is compared; else large tables are searched through their graph."""

    def __init__(self, collection: Collection, table: IndexTable, *, is_exact: bool) -> None:
        self._collection = collection
        self._table = table
        self._vector_params = models.SearchParams(exact=is_exact, hnsw_ef=None if is_exact else GRAPH_EF)
        # Words are weighed by how many rows of this table hold them: other knowledge bases change no ranking.
        idf = models.IdfCorpusParams(corpus=within(table))
        self._terms_params = models.SearchParams(idf=idf)

    async def by_vector(self, vector: Vectors, limit: int, filters: Filter) -> list[Found]:
        """The nearest rows that pass."""

        async def ask(count: int, offset: int) -> list[Found]:
            request = models.QueryRequest(
                query=vector.tolist(),
                using=DENSE,
                filter=self._filter(filters),
                params=self._vector_params,
                limit=count,
                offset=offset,
                with_payload=HIT_FIELDS,
            )
            (points,) = await self._collection.query([request])
            return [found_of(point) for point in points]

        return newest_of(await _passing(ask, limit, filters))

    async def by_words(
        self, terms: models.SparseVector, limit: int, filters: Filter, similar_to: Vectors | None
    ) -> list[Found]:
        """The rows with the highest BM25 score among those that pass."""

        async def ask(count: int, offset: int) -> list[Found]:
            words = models.QueryRequest(
                query=terms,
                using=TERMS,
                filter=self._filter(filters),
                params=self._terms_params,
                limit=count,
                offset=offset,
                with_payload=HIT_FIELDS,
            )
            if similar_to is None:
                (points,) = await self._collection.query([words])
                return [found_of(point) for point in points]
            points, near = await self._collection.query([words, self._cosines(words, count + offset, similar_to)])
            similarities = {point.id: point.score for point in near}
            # One that was replaced between the two stays without.
            return [found_of(point, similarities) for point in points]

        return newest_of(await _passing(ask, limit, filters))

    def _cosines(self, words: models.QueryRequest, count: int, vector: Vectors) -> models.QueryRequest:
        """The same hits, scored by their vectors: vectors themselves would be 6 kB a hit."""
        hits = models.Prefetch(
            query=words.query, using=TERMS, filter=words.filter, params=self._terms_params, limit=count
        )
        return models.QueryRequest(
            prefetch=hits, query=vector.tolist(), using=DENSE, limit=count, params=models.SearchParams(exact=True)
        )

    def _filter(self, filters: Filter) -> models.Filter:
        return within(self._table) if filters == EVERYTHING else within(self._table, wide_condition(filters))


async def read_chunks(collection: Collection, table: IndexTable, places: AbstractSet[Place]) -> dict[Place, Chunk]:
    """The chunks at these places; of one that is being replaced the newest."""
    ordinals: dict[str, list[int]] = {}
    for document_id, ordinal in places:
        ordinals.setdefault(document_id, []).append(ordinal)
    any_place = models.Filter(
        should=[
            models.Filter(must=[is_value("document_id", document_id), is_any("ordinal", wanted)])
            for document_id, wanted in ordinals.items()
        ]
    )
    found: dict[Place, tuple[int, Chunk]] = {}
    async for records in collection.scroll(within(table, any_place), CHUNK_FIELDS):
        for payload in map(payload_of, records):
            chunk, fence = chunk_of(payload), payload["fence"]
            place = (payload["document_id"], chunk.ordinal)
            if place not in found or fence >= found[place][0]:
                found[place] = (fence, chunk)
    return {place: chunk for place, (_, chunk) in found.items()}


async def read_vectors(collection: Collection, table: IndexTable, keys: Sequence[str]) -> dict[str, Vectors]:
    """Vectors by their key. One of very many rows hides no other: what is found is not asked for again."""
    found: dict[str, Vectors] = {}
    missing = list(keys)
    while missing:
        limit = min(SCROLLED_MAX, _ROWS_PER_KEY * len(missing) + _ROWS_MORE)
        records = await collection.some(within(table, is_any("vector_key", missing)), ["vector_key"], limit)
        found |= {
            payload_of(record)["vector_key"]: vector for record in records if (vector := vector_of(record)) is not None
        }
        if len(records) < limit:
            break
        missing = [key for key in missing if key not in found]
    return found


async def _passing(ask: _Ask, limit: int, filters: Filter) -> list[Found]:
    """The first that pass; where the server cannot tell, it is asked for more until there are enough."""
    if not has_text_range(filters):
        return await ask(limit, 0)
    passing: list[Found] = []
    count, offset = limit, 0
    while True:
        found = await ask(count, offset)
        passing += [one for one in found if matches(filters, one.filter_row)]
        if len(passing) >= limit or len(found) < count:
            return passing[:limit]
        offset += count
        count = max(limit, min(_PAGE_MAX, count * _PAGE_GROWTH))
