"""LanceDB, imported when it is first wanted (0.6 s), and by one thread at a time."""

import asyncio
import threading
from typing import Any, Final

from knowledge.packages_on_demand import load_on_demand

CACHE_BYTES_MAX: Final = 1024**3
"""What one process holds in memory of all indices, those on words included; LanceDB itself would take 6 GB."""

_importing = threading.Lock()
"""Its modules import one another in a circle: a second thread would meet them half made."""

load_on_demand("lance_namespace_urllib3_client")
"""The client of a catalogue server, 0.5 s of the 1.1 s; LanceDB wants no more of it than the types of its requests."""


def import_lancedb() -> Any:
    """The package."""
    with _importing:
        import lancedb

    return lancedb


async def connect(uri: str, storage_options: dict[str, str] | None, cache_bytes_max: int) -> Any:
    """A connection whose tables stay at the version that they saw last, until they are told to look for a newer one.

    Left to LanceDB each call looks, a query twice: nine times a commit, each of them a request to a bucket.
    """
    lancedb = await asyncio.to_thread(import_lancedb)
    return await lancedb.connect_async(
        uri,
        read_consistency_interval=None,
        storage_options=storage_options,
        session=lancedb.Session(index_cache_size_bytes=cache_bytes_max),
    )


def import_match_query() -> Any:
    """The class of keyword queries; its own type information makes optional arguments mandatory."""
    with _importing:
        from lancedb.query import MatchQuery

    return MatchQuery
