"""Whom a message goes to right now, and signed with what; or why it goes to nobody any more."""

from collections.abc import Callable
from typing import Final

import msgspec

from webhooks.delivery import Delivery
from webhooks.known import Known
from webhooks.signing import MASKED, callback_secret
from webhooks.subscription import WebhookId

WEBHOOK_DELETED: Final = "webhook_deleted"
WEBHOOK_DISABLED: Final = "webhook_disabled"


class Target(msgspec.Struct, frozen=True):
    """Where to, and the secrets to sign with. `webhook` is None for a callback."""

    url: str
    secrets: tuple[str, ...]
    webhook: WebhookId | None

    def __repr__(self) -> str:
        return f"Target(url={self.url!r}, secrets={MASKED})"


class NoTarget(msgspec.Struct, frozen=True):
    """`error` is the code that the delivery ends with."""

    error: str


class Outbox:
    """`installation_secret` is what the secrets of callbacks are derived from. Raises what the store raises."""

    def __init__(self, known: Known, *, installation_secret: bytes, clock_us: Callable[[], int]) -> None:
        self._known = known
        self._installation_secret = installation_secret
        self._clock_us = clock_us

    async def target_of(self, delivery: Delivery) -> Target | NoTarget:
        """As of a second ago at most, but as of now before a message is given up: somebody may just have enabled it."""
        if delivery.callback is not None:
            secret = callback_secret(self._installation_secret, delivery.callback.actor)
            return Target(delivery.callback.url, (secret,), None)
        webhook = WebhookId(delivery.channel)
        kept = (await self._known.recent()).get(webhook)
        if kept is None or not kept.subscription.is_enabled:
            await self._known.fresh()
            kept = (await self._known.recent()).get(webhook)
        if kept is None:
            return NoTarget(WEBHOOK_DELETED)
        if not kept.subscription.is_enabled:
            return NoTarget(WEBHOOK_DISABLED)
        return Target(kept.subscription.url, kept.secrets.at(self._clock_us()), kept.subscription.id)
