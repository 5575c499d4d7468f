"""Records of leases on Redis keep the contract."""

import pytest

from events.keys import Keys
from events.redis_clients import Clients
from processors.lease_records import LeaseRecords
from processors.redis_lease_records import RedisLeaseRecords
from tests.contract.lease_records_contract import LeaseRecordsContract

pytest_plugins = ("tests.servers.redis",)


class TestRedisLeaseRecords(LeaseRecordsContract):
    @pytest.fixture
    def records(self, redis_clients: Clients) -> LeaseRecords:
        return RedisLeaseRecords(redis_clients.commands, Keys(4))
