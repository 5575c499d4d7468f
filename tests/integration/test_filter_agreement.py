"""Filters mean the same in memory, in LanceDB and in Qdrant (the local mode of its client), for any metadata."""

import asyncio
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.chunk import Chunk
from knowledge.filters import parse_filters
from knowledge.index import Index, IndexRow, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.memory_index import MemoryIndex
from tests.contract.filter_strategies import FILTERS, METADATA, PAGES
from tests.contract.index_contract import direction
from tests.searched import search_keyword, search_vector
from tests.servers.qdrant_server import index_on, local_client

ROW = st.tuples(METADATA, PAGES)
TABLE = IndexTable("kb", 1)


def row_of(number: int, metadata: dict[str, Any], page: int | None) -> IndexRow:
    document_id = f"doc_{number % 4}"
    chunk = Chunk(f"{number:032x}", number, f"stone {number}", 0, 7, page, (), 2)
    return IndexRow(document_id, f"{document_id}.txt", chunk, direction(number * 0.05), metadata)


async def ids_found(index: Index, filters: dict[str, Any]) -> tuple[list[str], list[str]]:
    parsed = parse_filters(filters)
    by_vector = await search_vector(index, TABLE, direction(0), limit=100, filters=parsed)
    by_keyword = await search_keyword(index, TABLE, "stone", limit=100, filters=parsed)
    return [hit.chunk.chunk_id for hit in by_vector], sorted(hit.chunk.chunk_id for hit in by_keyword)


async def fill(index: Index, rows: list[IndexRow]) -> None:
    for document_id in {row.document_id for row in rows}:
        await index.upsert(TABLE, document_id, [row for row in rows if row.document_id == document_id])


async def found_by(
    index: Index, rows: list[tuple[dict[str, Any], int | None]], filters: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], tuple[list[str], list[str]]]]:
    """What is found under each filter; the index is closed."""
    await fill(index, [row_of(number, metadata, page) for number, (metadata, page) in enumerate(rows)])
    found = [(asked, await ids_found(index, asked)) for asked in filters]
    await index.close()
    return found


WRITTEN = st.lists(ROW, min_size=8, max_size=16)
ASKED = st.lists(FILTERS, min_size=25, max_size=25)


@settings(max_examples=12, deadline=None)
@given(rows=WRITTEN, filters=ASKED)
def test_memory_and_lance_agree(rows: list[tuple[dict[str, Any], int | None]], filters: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(found_by(LanceIndex(folder), rows, filters))
    assert found == asyncio.run(found_by(MemoryIndex(), rows, filters))


@settings(max_examples=12, deadline=None)
@given(rows=WRITTEN, filters=ASKED)
def test_memory_and_qdrant_agree(rows: list[tuple[dict[str, Any], int | None]], filters: list[dict[str, Any]]) -> None:
    found = asyncio.run(found_by(index_on(local_client()), rows, filters))
    assert found == asyncio.run(found_by(MemoryIndex(), rows, filters))
