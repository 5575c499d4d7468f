"""What the processes of test_index_in_buckets.py do; a module of its own so that spawn can import it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing.synchronize import Event

from events.redis_setup import open_installation
from knowledge.index import Index
from millstream.index_location import OpenIndex, open_index
from millstream.installation import connect
from millstream.settings import load_settings
from tests.contract.index_contract import TABLE, rows_of

DOCUMENTS = 3
_START_S_MAX = 60

Variables = Mapping[str, str]


@asynccontextmanager
async def opened(variables: Variables) -> AsyncIterator[OpenIndex]:
    """The index that these settings name, as every role opens it."""
    settings = load_settings(variables).settings
    async with connect(settings) as clients:
        keys = await open_installation(clients.commands, partitions=1)
        index = await open_index(settings, clients, keys)
        try:
            yield index
        finally:
            await index.close()


def write_documents(buckets: Sequence[Variables], name: str, start: Event) -> None:
    """Into each of the buckets, at once."""
    if not start.wait(_START_S_MAX):
        raise TimeoutError("the start was never given")
    asyncio.run(_in_each(buckets, name, times=2))


def write_on(buckets: Sequence[Variables], name: str) -> None:
    """The same again and again, with growing fences, until it is killed."""
    asyncio.run(_in_each(buckets, name, times=1_000))


async def _in_each(buckets: Sequence[Variables], name: str, *, times: int) -> None:
    await asyncio.gather(*(_write(variables, name, times) for variables in buckets))


async def _write(variables: Variables, name: str, times: int) -> None:
    async with opened(variables) as one:
        for fence in range(times):
            await write_once(one.index, name, fence)


async def write_once(index: Index, name: str, fence: int) -> None:
    """Two rows for each of this writer's documents, and one for a document that all of them write."""
    for number in range(DOCUMENTS):
        document_id = f"doc_{name}_{number}"
        await index.upsert(TABLE, document_id, rows_of(document_id, ["grain", "stone"]), fence=fence)
    await index.upsert(TABLE, "shared", rows_of("shared", ["water"]))
