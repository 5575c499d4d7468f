"""RedisKeyStore keeps the contract."""

import pytest

from events.keys import Keys
from events.redis_clients import Clients
from millstream.admission.key_store import KeyStore
from millstream.admission.redis_key_store import RedisKeyStore
from tests.contract.key_store_contract import KeyStoreContract

pytest_plugins = ("tests.servers.redis",)


class TestRedisKeyStore(KeyStoreContract):
    @pytest.fixture
    def store(self, redis_clients: Clients) -> KeyStore:
        return RedisKeyStore(redis_clients.commands, Keys(1))
