"""The index in memory: exact, for tests and the simulation; the reference that other implementations agree with."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np

from knowledge.chunk import Chunk, indexed_text
from knowledge.errors import KnowledgeError, Overtaken
from knowledge.filters import EVERYTHING, Filter, FilterRow
from knowledge.filters import matches as is_passing
from knowledge.index import Hit, IndexRow, IndexTable, Match, TableReader, check_rows
from knowledge.neighbours import Place
from knowledge.terms import index_terms, query_terms
from knowledge.vectors import Vectors

# Okapi BM25 with Lucene's idf (ln(1 + (N - n + 0.5) / (n + 0.5)), never negative) and the constants that LanceDB has.
K1 = 1.2
B = 0.75


class _Stored(msgspec.Struct, frozen=True):
    row: IndexRow
    terms: dict[str, int]
    length: int
    fence: int


class MemoryIndex:
    """A dictionary of tables of documents; searches look at every row."""

    def __init__(self) -> None:
        self._tables: dict[IndexTable, dict[str, list[_Stored]]] = {}

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        check_rows(document_id, rows)
        if any(stored.fence > fence for stored in self._tables.get(table, {}).get(document_id, [])):
            raise Overtaken(f"the index holds newer rows of {document_id}")
        if not rows:
            await self.erase(table, document_id)
            return 0
        others = next(iter(self._stored(table)), None)
        if others is not None and others.row.vector.shape != rows[0].vector.shape:
            raise KnowledgeError(f"the table holds vectors of another length than {rows[0].vector.shape[0]}")
        self._tables.setdefault(table, {})[document_id] = [_store(row, fence) for row in rows]
        return len(rows)

    async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        documents = self._tables.get(table, {})
        if fence is not None and any(stored.fence > fence for stored in documents.get(document_id, [])):
            return 0
        return len(documents.pop(document_id, []))

    async def vectors(self, table: IndexTable, keys: Collection[str]) -> dict[str, Vectors]:
        wanted = set(keys) - {""}
        return {
            stored.row.vector_key: stored.row.vector
            for stored in self._stored(table)
            if stored.row.vector_key in wanted
        }

    async def count(self, table: IndexTable, document_id: str | None = None) -> int:
        documents = self._tables.get(table, {})
        if document_id is not None:
            return len(documents.get(document_id, []))
        return sum(len(rows) for rows in documents.values())

    async def fence(self, table: IndexTable, document_id: str) -> int | None:
        return max((stored.fence for stored in self._tables.get(table, {}).get(document_id, [])), default=None)

    async def drop(self, table: IndexTable) -> None:
        self._tables.pop(table, None)

    async def forget_fences(self, table: IndexTable) -> None:
        for rows in self._tables.get(table, {}).values():
            rows[:] = [msgspec.structs.replace(stored, fence=0) for stored in rows]

    @asynccontextmanager
    async def reading(self, table: IndexTable) -> AsyncIterator[TableReader]:
        yield _MemoryReader(list(self._stored(table)))

    async def tables(self) -> list[IndexTable]:
        return list(self._tables)

    async def documents(self, table: IndexTable) -> AsyncIterator[list[str]]:
        yield [document for document, rows in self._tables.get(table, {}).items() if rows]

    async def optimize(self, table: IndexTable) -> None:
        """There is nothing to compact."""

    async def check(self) -> None:
        """Memory is always there."""

    async def close(self) -> None:
        """There is nothing to give back."""

    def _stored(self, table: IndexTable) -> Iterable[_Stored]:
        return (stored for rows in self._tables.get(table, {}).values() for stored in rows)


class _MemoryReader:
    """A `TableReader` over the rows that there were; named by their places among them."""

    def __init__(self, stored: Sequence[_Stored]) -> None:
        self._stored = stored

    async def by_vector(self, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING) -> list[Match]:
        return self._best(
            {row: float(np.dot(self._stored[row].row.vector, vector)) for row in self._passing(filters)}, limit
        )

    async def by_words(
        self,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: asyncio.Future[Vectors | None] | None = None,
    ) -> list[Match]:
        terms = query_terms(query)
        length_mean = sum(stored.length for stored in self._stored) / max(1, len(self._stored))
        idf = {term: _idf(len(self._stored), sum(term in stored.terms for stored in self._stored)) for term in terms}
        scores = {row: _bm25(self._stored[row], idf, length_mean) for row in self._passing(filters)}
        vector = None if similar_to is None else await similar_to
        return self._best({row: score for row, score in scores.items() if score > 0}, limit, vector)

    async def read(self, matches: Sequence[Match]) -> list[Hit]:
        rows = [self._stored[int(match.row)].row for match in matches]
        return [Hit(row.document_id, row.filename, row.chunk, row.metadata) for row in rows]

    async def chunks(self, places: Collection[Place]) -> dict[Place, Chunk]:
        wanted = frozenset(places)
        found = {(stored.row.document_id, stored.row.chunk.ordinal): stored.row.chunk for stored in self._stored}
        return {place: chunk for place, chunk in found.items() if place in wanted}

    def _passing(self, filters: Filter) -> Iterable[int]:
        return (row for row, stored in enumerate(self._stored) if is_passing(filters, _filter_row(stored.row)))

    def _best(self, scores: Mapping[int, float], limit: int, similar_to: Vectors | None = None) -> list[Match]:
        order = sorted(scores, key=lambda row: (-scores[row], self._stored[row].row.chunk.chunk_id))[:limit]
        return [Match(str(row), scores[row], _similarity(self._stored[row].row, similar_to)) for row in order]


def _store(row: IndexRow, fence: int) -> _Stored:
    terms = index_terms(indexed_text(row.chunk)).split()
    return _Stored(row=row, terms=dict(Counter(terms)), length=len(terms), fence=fence)


def _filter_row(row: IndexRow) -> FilterRow:
    return FilterRow(row.document_id, row.filename, row.chunk.page, row.metadata)


def _idf(rows: int, rows_with_term: int) -> float:
    return math.log(1 + (rows - rows_with_term + 0.5) / (rows_with_term + 0.5))


def _bm25(stored: _Stored, idf: dict[str, float], length_mean: float) -> float:
    score = 0.0
    for term, weight in idf.items():
        frequency = stored.terms.get(term, 0)
        if frequency:
            score += weight * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * stored.length / length_mean))
    return score


def _similarity(row: IndexRow, vector: Vectors | None) -> float | None:
    return None if vector is None else float(np.dot(row.vector, vector))
