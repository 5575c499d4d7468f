"""Deliveries on Redis keep the contract, and leave no key behind."""

from math import isinf

import pytest

from events.keys import Keys
from events.redis_border import execute
from events.redis_clients import Clients
from tests.contract.deliveries_contract import PARTITIONS, DeliveriesContract, put
from tests.webhook_samples import delivery
from webhooks.deliveries import DeliveryStore
from webhooks.redis_deliveries import RedisDeliveries

pytest_plugins = ("tests.servers.redis",)

KEYS = Keys(PARTITIONS)


class RedisDeliveryWorld:
    """The server's clock cannot be moved, so what is due is moved into the past instead."""

    def __init__(self, clients: Clients) -> None:
        self._client = clients.commands
        self.store: DeliveryStore = RedisDeliveries(clients.commands, KEYS)

    async def pass_time(self, ms: int) -> None:
        for partition in range(PARTITIONS):
            channels = KEYS.webhook_channels(partition)
            for name, at in await execute(self._client, "ZRANGE", channels, 0, -1, "WITHSCORES"):
                due = KEYS.webhook_due(partition, name.decode())
                for member in await execute(self._client, "ZRANGE", due, 0, -1):
                    await execute(self._client, "ZINCRBY", due, -ms, member)
                if not isinf(at):
                    await execute(self._client, "ZINCRBY", channels, -ms, name)


class TestRedisDeliveries(DeliveriesContract):
    @pytest.fixture
    def world(self, redis_clients: Clients) -> RedisDeliveryWorld:
        return RedisDeliveryWorld(redis_clients)


async def test_what_is_forgotten_leaves_no_key_but_the_checkpoint(redis_clients: Clients) -> None:
    store, made = RedisDeliveries(redis_clients.commands, KEYS), [delivery(1), delivery(1)]
    await put(store, *made)
    await store.forget(made)
    assert await redis_clients.commands.keys("*") == [KEYS.webhook_dispatch(0).encode()]


async def test_everything_of_a_partition_lies_in_its_slot(redis_clients: Clients) -> None:
    store = RedisDeliveries(redis_clients.commands, KEYS)
    await put(store, delivery(1, partition=2))
    tag = KEYS.webhook_dispatch(2).partition("}")[0]
    names = [name.decode() for name in await execute(redis_clients.commands, "KEYS", "*")]
    assert [name for name in names if not name.startswith(tag)] == []
    assert len(names) == 5
