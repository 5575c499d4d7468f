"""One read for all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class SharedReads(Generic[K, R]):
    """Whoever asks in one turn of the loop shares a read, which begins in the next: it is as new as one of their own.

    A thousand streams that are told their first news are a thousand questions about the same partition at once. Raises
    what the read raises, to each of them.
    """

    def __init__(self, read: Callable[[K], Awaitable[R]]) -> None:
        self._read = read
        self._asked: dict[K, asyncio.Task[R]] = {}

    async def of(self, key: K) -> R:
        reading = self._asked.get(key)
        if reading is None:
            reading = self._asked[key] = asyncio.create_task(self._begin(key))
        # Who asked first may be cancelled: the read is not theirs alone.
        return await asyncio.shield(reading)

    async def _begin(self, key: K) -> R:
        del self._asked[key]
        return await self._read(key)
