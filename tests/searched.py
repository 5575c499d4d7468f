"""Rows that a search of one table finds, read in full: both calls of a reader in one."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from knowledge.chunk import Chunk
from knowledge.filters import EVERYTHING, Filter, Scalar
from knowledge.index import Index, IndexTable, Match, TableReader
from knowledge.neighbours import Place
from knowledge.vectors import Vectors


class SearchedRow(NamedTuple):
    """A match with what its row says."""

    document_id: str
    filename: str
    chunk: Chunk
    metadata: Mapping[str, Scalar]
    score: float
    similarity: float | None


async def search_vector(
    index: Index, table: IndexTable, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING
) -> list[SearchedRow]:
    """Best first, ties by chunk id."""
    async with index.reading(table) as reader:
        return await _read(reader, await reader.by_vector(vector, limit=limit, filters=filters))


async def search_keyword(
    index: Index,
    table: IndexTable,
    query: str,
    *,
    limit: int,
    filters: Filter = EVERYTHING,
    similar_to: Vectors | None = None,
) -> list[SearchedRow]:
    """Best first, ties by chunk id."""
    vector = None if similar_to is None else _known(similar_to)
    async with index.reading(table) as reader:
        return await _read(reader, await reader.by_words(query, limit=limit, filters=filters, similar_to=vector))


async def chunks_of(index: Index, table: IndexTable, places: Collection[Place]) -> dict[Place, Chunk]:
    async with index.reading(table) as reader:
        return await reader.chunks(places)


def _known(vector: Vectors) -> asyncio.Future[Vectors | None]:
    future: asyncio.Future[Vectors | None] = asyncio.get_running_loop().create_future()
    future.set_result(vector)
    return future


async def _read(reader: TableReader, matches: Sequence[Match]) -> list[SearchedRow]:
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)
    rows = [
        SearchedRow(hit.document_id, hit.filename, hit.chunk, hit.metadata, match.score, match.similarity)
        for hit, match in zip(await reader.read(matches), matches, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.score, row.chunk.chunk_id))
