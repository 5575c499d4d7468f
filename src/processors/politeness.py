"""No host is asked by one worker for more than a few documents at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from processors.origins import OriginFails
from processors.retry import HOST_BUSY

TURN_S_MAX: Final = 10.0
"""How long a fetch keeps its slot while others fetch from the same host; then it comes back, and others go first."""


class HostTurns:
    """Who may fetch from a host now. Hosts that nobody fetches from are forgotten."""

    def __init__(self, slots: int, turn_s_max: float) -> None:
        self._slots = slots
        self._turn_s_max = turn_s_max
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncIterator[None]:
        turns, asking = self._hosts.get(host, (asyncio.Semaphore(self._slots), 0))
        self._hosts[host] = turns, asking + 1
        try:
            async with AsyncExitStack() as stack:
                await self._wait(stack, turns, host)
                yield
        finally:
            turns, asking = self._hosts[host]
            if asking == 1:
                del self._hosts[host]
            else:
                self._hosts[host] = turns, asking - 1

    async def _wait(self, stack: AsyncExitStack, turns: asyncio.Semaphore, host: str) -> None:
        try:
            async with asyncio.timeout(self._turn_s_max):
                await stack.enter_async_context(turns)
        except TimeoutError as error:
            raise OriginFails(HOST_BUSY, f"others are being fetched from {host}") from error
