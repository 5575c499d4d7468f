"""The log on Redis keeps the contract."""

import pytest

from events.redis_clients import Clients
from tests.contract.event_log_contract import EventLogContract
from tests.contract.log_world import LogWorld, RedisWorld

pytest_plugins = ("tests.servers.redis",)


class TestRedisLog(EventLogContract):
    @pytest.fixture
    def world(self, redis_clients: Clients) -> LogWorld:
        return RedisWorld(redis_clients)
