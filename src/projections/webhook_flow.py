"""Webhooks in the flow of the mill: how many there are, and what waits or has failed."""

from typing import Protocol

import msgspec

from projections.on_demand import gathered
from webhooks.deliveries import DeliveryStore
from webhooks.delivery import DeliveryState
from webhooks.subscriptions import SubscriptionStore


class WebhookFlow(msgspec.Struct, frozen=True, kw_only=True):
    """`pending` and `failed` are messages, callbacks among them: what waits, and what can be sent by hand."""

    enabled: int
    disabled: int
    pending: int
    failed: int


class AskWebhooks(Protocol):
    """Raises LogUnavailable."""

    async def __call__(self) -> WebhookFlow: ...


class WebhookCounts:
    """Counts when it is asked."""

    def __init__(self, subscriptions: SubscriptionStore, deliveries: DeliveryStore) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries

    async def __call__(self) -> WebhookFlow:
        kept = (await self._subscriptions.everything()).kept
        enabled = sum(one.subscription.is_enabled for one in kept)
        parts = await gathered(range(self._deliveries.partitions), self._of_partition)
        return WebhookFlow(
            enabled=enabled,
            disabled=len(kept) - enabled,
            pending=sum(pending for pending, _ in parts),
            failed=sum(failed for _, failed in parts),
        )

    async def _of_partition(self, partition: int) -> tuple[int, int]:
        channels = await self._deliveries.channels(partition)
        counts = await self._deliveries.counts(partition, channels) if channels else []
        return (
            sum(count.get(DeliveryState.PENDING, 0) for count in counts),
            sum(count.get(DeliveryState.FAILED, 0) for count in counts),
        )
