"""Deliveries in memory keep the contract."""

import pytest

from tests.contract.deliveries_contract import PARTITIONS, DeliveriesContract
from tests.webhook_samples import T0_US
from webhooks.deliveries import DeliveryStore
from webhooks.memory_deliveries import MemoryDeliveries


class MemoryDeliveryWorld:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self._now_us = T0_US
        self.store: DeliveryStore = MemoryDeliveries(partitions=PARTITIONS, clock_us=lambda: self._now_us)

    async def pass_time(self, ms: int) -> None:
        self._now_us += ms * 1_000


class TestMemoryDeliveries(DeliveriesContract):
    @pytest.fixture
    def world(self) -> MemoryDeliveryWorld:
        return MemoryDeliveryWorld()
