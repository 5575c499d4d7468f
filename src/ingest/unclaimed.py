"""Blobs that no event speaks of yet: whatever ends a request before its append deletes them again."""

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from blobs.errors import BlobError
from blobs.store import BlobRef, BlobStore, BlobWriter

DELETES_IN_FLIGHT_MAX: Final = 16

DELETE_S_MAX: Final = 5.0
"""A request that failed is answered at last: a store that falls silent must not hold that back by a minute a blob."""

_log = structlog.get_logger()


class UnclaimedBlobs:
    """An async context manager; what was stored through it stays only where `claim` was the last word."""

    def __init__(self, store: BlobStore, *, delete_s_max: float = DELETE_S_MAX) -> None:
        self._store = store
        self._delete_s_max = delete_s_max
        self._keys: list[str] = []
        self._is_claimed = False
        self._disclaimed: set[str] = set()

    def writer(self, key: str) -> BlobWriter:
        """Begin a blob. Its key is remembered at once: a commit that fails half-way may have taken effect."""
        self._keys.append(key)
        return self._store.writer(key)

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        """Make a blob of others (key and bytes of each)."""
        self._keys.append(to)
        await self._store.compose(sources, to)

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob."""
        self._keys.append(key)
        return await self._store.put(key, data)

    def claim(self) -> None:
        """From now on an event may speak of them. Called before the append: its answer can be lost."""
        self._is_claimed = True

    def disclaim(self, keys: Collection[str] | None = None) -> None:
        """It is certain that no event speaks of them, or of these."""
        if keys is None:
            self._is_claimed = False
        else:
            self._disclaimed.update(keys)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unwanted = [key for key in self._keys if not self._is_claimed or key in self._disclaimed]
        if unwanted:
            # Shielded: the deletion goes on where the request itself was cancelled.
            await asyncio.shield(asyncio.create_task(self._delete(unwanted)))

    async def _delete(self, unwanted: list[str]) -> None:
        turns = asyncio.Semaphore(DELETES_IN_FLIGHT_MAX)
        deadline_s = asyncio.get_running_loop().time() + self._delete_s_max

        async def delete(key: str) -> None:
            async with turns:
                try:
                    async with asyncio.timeout_at(deadline_s):
                        await self._store.delete(key)
                except (BlobError, TimeoutError) as left:
                    # Not lost: a blob without an event is an orphan, which the collector takes after its grace period.
                    _log.warning("orphan_left", key=key, error=repr(left))

        await asyncio.gather(*map(delete, unwanted))
