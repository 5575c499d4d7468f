"""Documents that are ready for the index wait for those that are on their way, so that one commit takes them all.

A commit costs 10 ms of processor time and a file that each search opens until the next compaction, however little is in
it; a document in a commit of 16 costs 1 ms. So while a worker has documents in the steps before, those that are ready
wait; nobody waits where nobody can come.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from processors.under_way import UnderWay


class GroupCommit:
    """The documents of one worker: at most `places` at a time (its slots), waiting at most `wait_s` for others."""

    def __init__(self, under_way: UnderWay, *, places: int, wait_s: float) -> None:
        self._under_way = under_way
        self._places = places
        self._wait_s = wait_s
        self._here = set[str]()
        self._waiting: list[asyncio.Future[None]] = []
        self._last_call: asyncio.TimerHandle | None = None
        under_way.on_fewer(self._look)

    @asynccontextmanager
    async def together(self, document: str) -> AsyncIterator[None]:
        """Waits for other documents; what is written within is written at the same time as what they write."""
        self._under_way.arrived(document)
        with self.here(document):
            await self._wait()
            yield

    @contextmanager
    def here(self, document: str) -> Iterator[None]:
        """Nobody waits for the document while it is here, or behind."""
        is_new = document not in self._here
        self._here.add(document)
        try:
            yield
        finally:
            if is_new:
                self._here.remove(document)
            self._look()

    async def _wait(self) -> None:
        going: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(going)
        self._look()
        if not going.done() and self._last_call is None:
            self._last_call = asyncio.get_running_loop().call_later(self._wait_s, self._go)
        try:
            await going
        finally:
            if going in self._waiting:  # the attempt was cancelled
                self._waiting.remove(going)

    def _look(self) -> None:
        # Those that are here, waiting or being written, are counted as under way until their attempts have ended.
        others = self._under_way.documents - len(self._here)
        if self._waiting and (len(self._waiting) >= self._places or others <= 0):
            self._go()

    def _go(self) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
            self._last_call = None
        together, self._waiting = self._waiting, []
        for going in together:
            if not going.done():
                going.set_result(None)
