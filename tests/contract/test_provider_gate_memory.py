"""The gate in memory keeps the contract."""

import pytest

from processors.memory_provider import MemoryProviderGate
from processors.provider import Quota
from tests.contract.provider_gate_contract import GateOf, HandClock, ProviderGateContract


class TestMemoryProviderGate(ProviderGateContract):
    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def gate_of(self, clock: HandClock) -> GateOf:
        """Workers of one process share one gate."""
        made: dict[Quota, MemoryProviderGate] = {}
        return lambda quota: made.setdefault(quota, MemoryProviderGate(quota, clock_us=clock))
