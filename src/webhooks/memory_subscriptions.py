"""Subscriptions in memory: the reference."""

from collections.abc import Callable

from webhooks.subscription import Kept, WebhookId
from webhooks.subscriptions import Everything, Full


class MemorySubscriptions:
    """SubscriptionStore in memory. `clock_us` is unix µs."""

    def __init__(self, *, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._kept: dict[WebhookId, Kept] = {}
        self._failing: dict[WebhookId, int] = {}
        self._version = 0
        self._has_callbacks = False

    async def now_us(self) -> int:
        return self._clock_us()

    async def version(self) -> int:
        return self._version

    async def everything(self) -> Everything:
        kept = tuple(self._kept[webhook] for webhook in sorted(self._kept))
        return Everything(self._version, kept, self._has_callbacks)

    async def find(self, webhook: WebhookId) -> Kept | None:
        return self._kept.get(webhook)

    async def create(self, kept: Kept, *, count_max: int) -> Kept | Full:
        webhook = kept.subscription.id
        if webhook in self._kept:
            return self._kept[webhook]
        if len(self._kept) >= count_max:
            return Full(len(self._kept))
        self._kept[webhook] = kept
        self._version += 1
        return kept

    async def change(self, webhook: WebhookId, changed: Callable[[Kept], Kept]) -> Kept | None:
        before = self._kept.get(webhook)
        if before is None:
            return None
        after = changed(before)
        if after != before:
            self._kept[webhook] = after
            self._version += 1
        return after

    async def delete(self, webhook: WebhookId) -> bool:
        self._failing.pop(webhook, None)
        if self._kept.pop(webhook, None) is None:
            return False
        self._version += 1
        return True

    async def expect_callbacks(self) -> None:
        if not self._has_callbacks:
            self._has_callbacks = True
            self._version += 1

    async def failing_since(self, webhook: WebhookId, now_us: int) -> int:
        return self._failing.setdefault(webhook, now_us)

    async def succeeded(self, webhook: WebhookId) -> None:
        self._failing.pop(webhook, None)
