"""Roles that start at the same time, beside an empty Redis and an empty blob store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from blobs.errors import BlobMissing
from blobs.local import LocalBlobStore
from events.redis_clients import Clients
from millstream.installation import open_marked
from millstream.settings import Settings

pytest_plugins = ("tests.servers.redis",)

SETTINGS = Settings(redis_url="redis://of-the-clients")


class Overtaken(LocalBlobStore):
    """Somebody else is quicker, once: right before the first blob is looked for, or right after it was not found."""

    def __init__(self, root: Path, other: Callable[[], Awaitable[object]], *, is_before: bool) -> None:
        super().__init__(root)
        self._other: Callable[[], Awaitable[object]] | None = other
        self._is_before = is_before

    async def get(self, key: str) -> bytes:
        if self._is_before:
            await self._let_go()
        try:
            return await super().get(key)
        except BlobMissing:
            await self._let_go()
            raise

    async def _let_go(self) -> None:
        other, self._other = self._other, None
        if other is not None:
            await other()


@pytest.mark.parametrize("is_before", [True, False])
async def test_whoever_is_overtaken_joins_the_installation_of_the_quicker_one(
    redis_clients: Clients, tmp_path: Path, is_before: bool
) -> None:
    async def quicker() -> None:
        await open_marked(SETTINGS, redis_clients, LocalBlobStore(tmp_path))

    blobs = Overtaken(tmp_path, quicker, is_before=is_before)
    assert (await open_marked(SETTINGS, redis_clients, blobs)).partitions == 8


async def test_roles_that_start_at_once_make_one_installation(redis_clients: Clients, tmp_path: Path) -> None:
    stores = [LocalBlobStore(tmp_path) for _ in range(8)]
    opened = await asyncio.gather(*(open_marked(SETTINGS, redis_clients, blobs) for blobs in stores))
    assert [keys.partitions for keys in opened] == [8] * len(stores)
