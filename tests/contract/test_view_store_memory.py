"""The views in memory keep the contract."""

import pytest

from projections.feed import ChangeFeed
from projections.memory_views import MemoryViews
from projections.views import ViewStore
from tests.contract.view_store_contract import (
    FEED_BYTES_MAX,
    LEASE_MS,
    PARTITIONS,
    ChangeFeedContract,
    ViewStoreContract,
    ViewWorld,
)


class MemoryViewWorld:
    def __init__(self) -> None:
        self._now_ms = 1_000
        memory = MemoryViews(partitions=PARTITIONS, clock_ms=lambda: self._now_ms, feed_bytes_max=FEED_BYTES_MAX)
        self._memory = memory
        self.views: ViewStore = memory
        self.feed: ChangeFeed = memory

    async def break_feed(self) -> None:
        self._memory.break_feed(0)

    async def end_leases(self) -> None:
        self._now_ms += LEASE_MS + 1


@pytest.fixture
def world() -> ViewWorld:
    return MemoryViewWorld()


class TestMemoryViews(ViewStoreContract):
    pass


class TestMemoryFeed(ChangeFeedContract):
    pass
