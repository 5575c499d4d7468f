"""The index in memory: exact, for tests and the simulation; the reference that other implementations agree with."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence

import msgspec
import numpy as np

from knowledge.chunk import Chunk, indexed_text
from knowledge.errors import KnowledgeError, Overtaken
from knowledge.filters import EVERYTHING, Filter, FilterRow, matches
from knowledge.index import Hit, IndexRow, IndexTable, check_rows
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

    async def search_vector(
        self, table: IndexTable, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING
    ) -> list[Hit]:
        scored = [(float(np.dot(stored.row.vector, vector)), stored) for stored in self._passing(table, filters)]
        return _best(scored, limit)

    async def search_keyword(
        self,
        table: IndexTable,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: Vectors | None = None,
    ) -> list[Hit]:
        terms = query_terms(query)
        everything = list(self._stored(table))
        length_mean = sum(stored.length for stored in everything) / max(1, len(everything))
        idf = {term: _idf(len(everything), sum(term in stored.terms for stored in everything)) for term in terms}
        scored = [(_bm25(stored, idf, length_mean), stored) for stored in self._passing(table, filters)]
        return _best([(score, stored) for score, stored in scored if score > 0], limit, similar_to)

    async def chunks(self, table: IndexTable, places: Collection[Place]) -> dict[Place, Chunk]:
        documents, wanted = self._tables.get(table, {}), frozenset(places)
        rows = [
            stored.row for document_id in {place[0] for place in wanted} for stored in documents.get(document_id, [])
        ]
        found = {(row.document_id, row.chunk.ordinal): row.chunk for row in rows}
        return {place: chunk for place, chunk in found.items() if place in wanted}

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

    def _passing(self, table: IndexTable, filters: Filter) -> Iterable[_Stored]:
        return (stored for stored in self._stored(table) if matches(filters, _filter_row(stored.row)))


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


def _best(scored: list[tuple[float, _Stored]], limit: int, similar_to: Vectors | None = None) -> list[Hit]:
    scored.sort(key=lambda pair: (-pair[0], pair[1].row.chunk.chunk_id))
    return [_hit(stored.row, score, similar_to) for score, stored in scored[:limit]]


def _hit(row: IndexRow, score: float, similar_to: Vectors | None) -> Hit:
    similarity = None if similar_to is None else float(np.dot(row.vector, similar_to))
    return Hit(row.document_id, row.filename, row.chunk, row.metadata, score, similarity)
