"""Searching one table on a Qdrant server. A call answers what it finds in full, so reading asks for nothing more."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from knowledge.chunk import Chunk
from knowledge.filters import EVERYTHING, Filter
from knowledge.index import Hit, IndexTable, Match
from knowledge.neighbours import Place
from knowledge.qdrant_collection import Collection as QdrantCollection
from knowledge.qdrant_collections import check_dimensions
from knowledge.qdrant_points import Found
from knowledge.qdrant_search import QdrantSearch, read_chunks
from knowledge.qdrant_terms import asked_terms
from knowledge.vectors import Vectors

LookingAgain = Callable[[], AbstractAsyncContextManager[None]]


class QdrantReader:
    """A `TableReader`; `looking_again` forgets behind a failure what was known of collections."""

    def __init__(
        self, collection: QdrantCollection, table: IndexTable, looking_again: LookingAgain, *, is_exact: bool
    ) -> None:
        self._collection = collection
        self._table = table
        self._looking_again = looking_again
        self._search = QdrantSearch(collection, table, is_exact=is_exact)
        self._hits: dict[str, Hit] = {}

    async def by_vector(self, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING) -> list[Match]:
        check_dimensions(self._collection, vector.shape[0])
        async with self._looking_again():
            return self._matches(await self._search.by_vector(vector, limit, filters))

    async def by_words(
        self,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: asyncio.Future[Vectors | None] | None = None,
    ) -> list[Match]:
        terms = asked_terms(query)
        if terms is None:
            return []
        # The server compares, so it is asked once the vector is there.
        vector = None if similar_to is None else await similar_to
        async with self._looking_again():
            return self._matches(await self._search.by_words(terms, limit, filters, vector))

    async def read(self, matches: Sequence[Match]) -> list[Hit]:
        return [self._hits[match.row] for match in matches]

    async def chunks(self, places: Collection[Place]) -> dict[Place, Chunk]:
        async with self._looking_again():
            return await read_chunks(self._collection, self._table, frozenset(places)) if places else {}

    def _matches(self, found: Iterable[Found]) -> list[Match]:
        matches = []
        for one in found:
            self._hits[one.match.row] = one.hit
            matches.append(one.match)
        return matches
