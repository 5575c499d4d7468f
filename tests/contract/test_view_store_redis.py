"""The views on Redis keep the contract."""

import pytest

from events.envelope import Position
from events.epochs import EPOCH_FIRST
from events.keys import Keys
from events.redis_clients import Clients
from events.redis_epochs import RedisEpochs
from projections.feed import ChangeFeed
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from projections.views import ViewStore
from tests.contract.view_store_contract import (
    FEED_BYTES_MAX,
    PARTITIONS,
    ChangeFeedContract,
    ViewStoreContract,
    ViewWorld,
)

pytest_plugins = ("tests.servers.redis",)

GENERATIONS = (1, 2)


class RedisViewWorld:
    """The server's clock cannot be moved, so the ends of leases are moved into the past instead."""

    def __init__(self, clients: Clients) -> None:
        self._keys = Keys(PARTITIONS)
        self._client = clients.commands
        self.views: ViewStore = RedisViews(clients.commands, self._keys, feed_bytes_max=FEED_BYTES_MAX)
        self.feed: ChangeFeed = RedisFeed(clients.commands, clients.blocking, self._keys)

    async def break_feed(self) -> None:
        assert await RedisEpochs(self._client, self._keys).raise_epoch(0, Position(EPOCH_FIRST, 1, 0))

    async def end_leases(self) -> None:
        for generation in GENERATIONS:
            await self._client.hset(self._keys.checkpoint(0, generation), "until", "1")


@pytest.fixture
def world(redis_clients: Clients) -> ViewWorld:
    return RedisViewWorld(redis_clients)


class TestRedisViews(ViewStoreContract):
    pass


class TestRedisFeed(ChangeFeedContract):
    pass
