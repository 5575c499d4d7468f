"""What attempts at an endpoint mean for its subscription: 410 ends it at once, days without a success in the end."""

from typing import Final

import structlog

from webhooks.delivery import Attempt
from webhooks.subscription import DisabledReason, WebhookId, disabled
from webhooks.subscriptions import SubscriptionStore

MICROSECONDS: Final = 1_000_000


class Health:
    """Raises what the store raises."""

    def __init__(self, subscriptions: SubscriptionStore, *, failing_disable_s: int) -> None:
        self._subscriptions = subscriptions
        self._failing_disable_us = failing_disable_s * MICROSECONDS
        self._is_well: set[WebhookId] = set()

    async def note(self, webhook: WebhookId, attempt: Attempt, now_us: int) -> None:
        """Remembers an attempt, and disables the subscription where that follows."""
        if attempt.is_success:
            # Only the first success behind a failure, or behind a start of this process, has to be told.
            if webhook not in self._is_well:
                await self._subscriptions.succeeded(webhook)
                self._is_well.add(webhook)
            return
        self._is_well.discard(webhook)
        if attempt.is_gone:
            await self._disable(webhook, DisabledReason.GONE, now_us)
            return
        since_us = await self._subscriptions.failing_since(webhook, now_us)
        if now_us - since_us >= self._failing_disable_us:
            await self._disable(webhook, DisabledReason.FAILING, now_us)

    async def _disable(self, webhook: WebhookId, reason: DisabledReason, now_us: int) -> None:
        if await self._subscriptions.change(webhook, lambda kept: disabled(kept, reason, now_us)) is None:
            return
        await self._subscriptions.succeeded(webhook)
        structlog.get_logger().warning("webhook_disabled", webhook=webhook, reason=reason.value)
