"""Loads what is slow to load before the first document or query has to wait for it, while the role already serves.

Measured on two cores: the local model 1.5 s, LanceDB 1.8 s, LlamaIndex's node parsers 2.6 s.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module

import structlog

from millstream.stores import Stores

_log = structlog.get_logger()

CHUNKING_MODULE = "llama_index.core.node_parser"
QUERY_MODULE = "lancedb.query"


@asynccontextmanager
async def in_background(warming: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs the warm-up beside the body, and ends it with the body."""
    task = asyncio.create_task(warming)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def import_for_worker() -> None:
    """To be awaited before any step runs: LlamaIndex and LanceDB import in circles, and of two threads that import
    them at the same time one meets a half-made module."""
    await asyncio.to_thread(import_module, CHUNKING_MODULE)
    await asyncio.to_thread(import_module, QUERY_MODULE)


async def warm_api(stores: Stores, can_search: asyncio.Event) -> None:
    """Sets the event once a query may run, for the same reason; all else is served from the start."""
    try:
        await asyncio.to_thread(import_module, QUERY_MODULE)
    finally:
        can_search.set()
    await warm_search(stores)


async def warm_search(stores: Stores) -> None:
    """The model and the index."""
    try:
        await stores.embeddings.warm()
        await stores.index.check()
    except Exception as error:
        _log.warning("warm_up_failed", error=repr(error))
