"""Records of leases in memory keep the contract."""

import time

import pytest

from processors.lease_records import LeaseRecords
from processors.memory_lease_records import MemoryLeaseRecords
from tests.contract.lease_records_contract import LeaseRecordsContract


class TestMemoryLeaseRecords(LeaseRecordsContract):
    @pytest.fixture
    def records(self) -> LeaseRecords:
        return MemoryLeaseRecords(lambda: time.monotonic_ns() // 1_000_000)
