"""LanceDB, imported when it is first wanted (0.6 s), and by one thread at a time."""

import asyncio
import os
import threading
from functools import lru_cache
from typing import Any, Final

from knowledge.packages_on_demand import load_on_demand

CACHE_BYTES_MAX: Final = 1024**3
"""What one process holds in memory of all indices, those on words included; LanceDB itself would take 6 GB."""

LOG_LEVELS: Final = "warn,lance::index::vector::builder=error"
"""What LanceDB says on standard error, where `LANCE_LOG` does not ask for something else.

When it joins parts of an index on vectors it warns of each part that has fewer partitions than the joined one, "skip
loading it". There is nothing to load: what the part has is in the partitions that it has, and every row is found
(`test_parts_with_fewer_partitions_than_the_whole_lose_nothing_when_they_are_joined`).
"""

_importing = threading.Lock()
"""Its modules import one another in a circle: a second thread would meet them half made."""

load_on_demand("lance_namespace_urllib3_client")
"""The client of a catalogue server, 0.5 s of the 1.1 s; LanceDB wants no more of it than the types of its requests."""


def import_lancedb() -> Any:
    """The package."""
    with _importing:
        os.environ.setdefault("LANCE_LOG", LOG_LEVELS)
        import lancedb
        from lancedb import background_loop

        _do_nothing_between_fork_and_exec(background_loop)
    return lancedb


def _do_nothing_between_fork_and_exec(background_loop: Any) -> None:
    """uvloop runs Python's hooks in the child of a fork, ahead of exec. LanceDB's would start a thread there and print
    a warning; a child that hung at it would hold the event loop, which waits for exec. All our forks exec at once."""
    background_loop.LOOP._start = lambda: None
    background_loop._FORK_WARNED = True


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


@lru_cache(maxsize=1)
def import_match_query() -> Any:
    """The class of keyword queries; its own type information makes optional arguments mandatory."""
    import_lancedb()
    with _importing:
        from lancedb.query import MatchQuery

    return MatchQuery
