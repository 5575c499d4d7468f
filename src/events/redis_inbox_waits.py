"""One wait for all consumers of a process that wait for the same inboxes.

Whoever waits has just found the inboxes empty, at a sweep that hands out whatever was given to nobody. So where a wait
is under way that began behind such a sweep, nothing lies in the inboxes that it will not tell of: it serves any other
consumer of the group as well, behind whatever entries that one has looked. With a wait each, a hundred workers over
gRPC would hold a hundred connections, on a cluster one for each partition; and would wait for one where there are 64.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from events.redis_streams import Found, Places, StreamReads


class InboxWaits:
    """Over the reads of one process. Belongs to one event loop."""

    def __init__(self, reads: StreamReads) -> None:
        self._reads = reads
        self._under_way: dict[frozenset[str], asyncio.Future[Found]] = {}
        self.waiting = 0
        """Consumers that wait now."""

    async def arrived(self, last: Places, *, block_ms: int) -> set[str]:
        """The streams in which something may have arrived; empty after `block_ms`, or earlier where a wait that was
        under way ends. `last` are the ends that an empty sweep saw. Raises LogUnavailable."""
        name = frozenset(last)
        wait = self._under_way.get(name) or self._begun(name, last, block_ms)
        # Whoever is cancelled leaves the wait to the others: breaking it off would cost its connection.
        self.waiting += 1
        try:
            done, _ = await asyncio.wait({wait}, timeout=block_ms / 1_000)
        finally:
            self.waiting -= 1
        return {stream.decode() for stream in wait.result()} if done else set()

    def is_under_way(self, streams: Iterable[str]) -> bool:
        """Whether somebody waits for these."""
        return frozenset(streams) in self._under_way

    @contextmanager
    def own(self, streams: Iterable[str]) -> Iterator[asyncio.Future[Found]]:
        """The wait of a consumer that waits by a call of its own, behind the ends that an empty sweep saw: all others
        wait until it has told what that call found, or left."""
        name = frozenset(streams)
        told = self._under_way[name] = asyncio.get_running_loop().create_future()
        self.waiting += 1
        try:
            yield told
        finally:
            self.waiting -= 1
            del self._under_way[name]
            if not told.done():
                told.set_result({})

    def _begun(self, name: frozenset[str], last: Places, block_ms: int) -> asyncio.Future[Found]:
        wait = self._under_way[name] = asyncio.create_task(self._reads.read(last, count=1, block_ms=block_ms))
        wait.add_done_callback(lambda ended: self._ended(name, ended))
        return wait

    def _ended(self, name: frozenset[str], wait: asyncio.Future[Found]) -> None:
        del self._under_way[name]
        if not wait.cancelled():
            wait.exception()  # of a wait that nobody is left to hear of: the next one meets the same trouble
