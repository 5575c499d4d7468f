"""What a writing process of test_lance_index.py does; a module of its own so that spawn can import it."""

import asyncio
from multiprocessing.synchronize import Event

from knowledge.lance_imports import import_lancedb
from knowledge.lance_index import LanceIndex
from knowledge.lance_vectors import build_vector_index
from knowledge.table_names import name_of
from tests.contract.index_contract import TABLE, rows_of

DOCUMENTS = 8
_START_S_MAX = 60


def write_documents(uri: str, name: str, start: Event) -> None:
    """Writes `DOCUMENTS` documents of this writer twice over, and one that every writer writes."""
    if not start.wait(_START_S_MAX):
        raise TimeoutError("the start was never given")
    asyncio.run(_write(uri, name))


async def _write(uri: str, name: str) -> None:
    index = LanceIndex(uri, compact_writes_min=5)
    for _ in range(2):
        for number in range(DOCUMENTS):
            document_id = f"doc_{name}_{number}"
            await index.upsert(TABLE, document_id, rows_of(document_id, ["grain", "stone"]))
        await index.upsert(TABLE, "shared", rows_of("shared", ["water"]))
    await index.close()


def build_for_ever(uri: str) -> None:
    """Builds the index on vectors again and again, until somebody kills this process."""
    asyncio.run(_build(uri))


async def _build(uri: str) -> None:
    table = await (await import_lancedb().connect_async(uri)).open_table(name_of(TABLE))
    while True:
        await build_vector_index(table)
