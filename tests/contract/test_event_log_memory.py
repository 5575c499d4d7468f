"""The log in memory keeps the contract."""

import pytest

from tests.contract.event_log_contract import EventLogContract
from tests.contract.log_world import LogWorld, MemoryWorld


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def world(self) -> LogWorld:
        return MemoryWorld()
