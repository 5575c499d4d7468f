"""Subscriptions in memory keep the contract."""

import pytest

from tests.contract.subscriptions_contract import SubscriptionsContract
from tests.webhook_samples import T0_US
from webhooks.memory_subscriptions import MemorySubscriptions


class TestMemorySubscriptions(SubscriptionsContract):
    @pytest.fixture
    def store(self) -> MemorySubscriptions:
        return MemorySubscriptions(clock_us=lambda: T0_US)
