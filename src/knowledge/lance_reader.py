"""Searching one Lance table at one version: scores first, of many rows, then what the few say that are answered.

Of 200 rows a hybrid search answers ten, and a hit has twelve columns. So LanceDB is asked for row numbers and scores
alone, and for the rest by number. Numbers hold within a version, compaction gives others: a reader has an object of
LanceDB to itself, which nobody moves to a newer version between the two.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from knowledge.chunk import Chunk
from knowledge.filters import EVERYTHING, Filter
from knowledge.index import Hit, Match
from knowledge.lance_handle import LanceHandle
from knowledge.lance_imports import import_match_query
from knowledge.lance_vectors import exactly
from knowledge.neighbours import Place
from knowledge.terms import query_terms
from knowledge.vectors import Vectors

Translated = Callable[[], AbstractAsyncContextManager[None]]


class LanceReader:
    """A `TableReader`. `rows` stands at a version until it is given back; `translated` makes LanceDB's errors ours."""

    def __init__(self, handle: LanceHandle, rows: Any, translated: Translated) -> None:
        self._handle = handle
        self._rows = rows
        self._translated = translated

    async def by_vector(self, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING) -> list[Match]:
        from knowledge.lance_rows import find, scored

        self._handle.check_dimensions(vector.shape[0])
        async with self._translated():
            found = await find(exactly(self._rows.query().nearest_to(vector)), limit, filters, ["_distance"])
        # LanceDB's dot distance is 1 - dot product.
        return [Match(row, 1.0 - distance) for row, distance in scored(found, "_distance")]

    async def by_words(
        self,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: asyncio.Future[Vectors | None] | None = None,
    ) -> list[Match]:
        terms = query_terms(query)
        if not terms:
            return []
        from knowledge.lance_rows import find, scored, similarities

        async with self._translated():
            # A MatchQuery, not a string: a string is parsed, and words of the user would become operators.
            words = import_match_query()(" ".join(terms), "terms")
            vectors = [] if similar_to is None else ["vector"]
            found = await find(self._rows.query().nearest_to_text(words), limit, filters, ["_score", *vectors])
        vector = None if similar_to is None else await similar_to
        if vector is not None:
            self._handle.check_dimensions(vector.shape[0])
        near = [None] * len(found) if vector is None else similarities(found, vector)
        return [
            Match(row, score, similarity)
            for (row, score), similarity in zip(scored(found, "_score"), near, strict=True)
        ]

    async def read(self, matches: Sequence[Match]) -> list[Hit]:
        if not matches:
            return []
        from knowledge.lance_rows import read_hits

        async with self._translated():
            hits = await read_hits(self._rows, [int(match.row) for match in matches])
        return [hits[int(match.row)] for match in matches]

    async def chunks(self, places: Collection[Place]) -> dict[Place, Chunk]:
        from knowledge.lance_rows import read_chunks

        async with self._translated():
            return await read_chunks(self._rows, places) if places else {}
