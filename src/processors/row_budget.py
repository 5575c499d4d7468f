"""How many rows may be held in memory by documents that are indexed at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RowBudget:
    """Rows are lent in the order in which they are asked for; who asks for more than there are gets all of them."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._free = rows_max
        self._returned = asyncio.Event()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def lent(self, rows: int) -> AsyncIterator[None]:
        """Waits until so many are free; they are given back at the end."""
        wanted = min(rows, self._rows_max)
        # One waits for rows at a time: a large document would wait for ever while small ones passed it by.
        async with self._turn:
            while self._free < wanted:
                self._returned.clear()
                await self._returned.wait()
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._returned.set()
