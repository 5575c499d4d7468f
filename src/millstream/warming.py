"""Loads what is slow to load before the first document or query has to wait for it, while the role already serves.

Processor time of each: the local model 1.0 s, LanceDB 0.6 s, LlamaIndex's splitter 0.3 s (1.1 s and 1.3 s with all that
they would import; `knowledge.packages_on_demand`).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import structlog

from events.steps import Step
from ingest.problems import RETRY_AFTER_S, ProblemCode, Rejected
from millstream.collecting import import_for_good
from millstream.stores import Stores

_log = structlog.get_logger()

CHUNKING_MODULE: Final = "knowledge.llama_splitter"
QUERY_MODULE: Final = "lancedb.query"

CHUNKING_STEPS: Final = frozenset({Step.CHUNK})
EMBEDDING_STEPS: Final = frozenset({Step.CHUNK, Step.EMBED, Step.INDEX, Step.REVISE})
"""Those that may need a vector: of a sentence, a chunk, or one that a person wrote anew."""
SEARCHING_STEPS: Final = frozenset({Step.EMBED, Step.INDEX, Step.REVISE, Step.ERASE})
"""Those that need the index; a worker that serves none of them may still open it later, for upkeep."""


@asynccontextmanager
async def in_background(warming: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs the warm-up beside the body, and ends it with the body."""
    task = asyncio.create_task(warming)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def import_for_worker(steps: Collection[Step]) -> None:
    """To be awaited before any of the steps runs: LlamaIndex and LanceDB import in circles, and of two threads that
    import them at the same time one meets a half-made module."""
    modules = (CHUNKING_MODULE, CHUNKING_STEPS), (QUERY_MODULE, SEARCHING_STEPS)
    await asyncio.to_thread(import_for_good, *(name for name, users in modules if not users.isdisjoint(steps)))


async def warm_api(stores: Stores, can_search: asyncio.Event) -> None:
    """Sets the event once a query may run, for the same reason; all else is served from the start."""
    try:
        await asyncio.to_thread(import_for_good, QUERY_MODULE)
    finally:
        can_search.set()
    await warm_search(stores)
    await warm_answers(stores)


async def until_searchable(can_search: asyncio.Event, s_max: float) -> None:
    """Raises Rejected (dependency_unavailable) where the index is not loaded in time."""
    try:
        async with asyncio.timeout(s_max):
            await can_search.wait()
    except TimeoutError:
        detail = "The search index is still being loaded; try again in a moment."
        raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, detail, retry_after_s=RETRY_AFTER_S) from None


async def warm_worker(stores: Stores, steps: Collection[Step]) -> None:
    """What its steps will ask for first."""
    if not SEARCHING_STEPS.isdisjoint(steps):
        await warm_search(stores)


async def warm_answers(stores: Stores) -> None:
    """LlamaIndex, where there is a language model to answer with."""
    try:
        await stores.models.warm()
    except Exception as error:
        _log.warning("warm_up_failed", error=repr(error))


async def warm_search(stores: Stores) -> None:
    """The model and the index."""
    try:
        await stores.embeddings.warm()
        await stores.index.check()
    except Exception as error:
        _log.warning("warm_up_failed", error=repr(error))
