"""The register on Redis keeps the contract, and who compares commits is agreed on once."""

import pytest

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_index_versions import RedisIndexVersions
from knowledge.lance_versions import VersionRegister
from millstream.index_manifests import SharedRegister
from tests.contract.version_register_contract import VersionRegisterContract

pytest_plugins = ("tests.servers.redis",)


class TestRedisVersionRegister(VersionRegisterContract):
    @pytest.fixture
    def register(self, redis_clients: Clients) -> VersionRegister:
        return SharedRegister(RedisIndexVersions(redis_clients.commands, Keys(1)))


async def test_who_compares_is_what_the_first_process_found_unless_it_is_overruled(redis_clients: Clients) -> None:
    versions = RedisIndexVersions(redis_clients.commands, Keys(1))
    assert await versions.comparer("s3://one") is None
    assert await versions.agree("s3://one", "server") == "server"
    assert await versions.agree("s3://one", "redis") == "server"
    assert await versions.agree("s3://two", "redis") == "redis"
    assert await versions.agree("s3://one", "redis", overrules=True) == "redis"
    assert await versions.comparer("s3://one") == "redis"
