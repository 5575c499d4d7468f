"""Messages that are sent anew because somebody asks for it: one, or those that failed since a time."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from domain.access import Principal
from domain.instant import EPOCH
from ingest.webhooks import WebhookServices, visible
from webhooks.delivery import Channel, Delivery, DeliveryId, DeliveryState, sent_anew, unknown_delivery
from webhooks.shown import Redelivered
from webhooks.subscription import WebhookId, must_be_enabled

REDELIVERED_MAX: Final = 1_000
"""Deliveries of one call: about a second."""

PAGE: Final = 200
TRIES_MAX: Final = 3


class RedeliverBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages are meant: those made since a time that failed (or, asked for, those that arrived)."""

    since: Annotated[datetime, Meta(tz=True)]
    status: DeliveryState = DeliveryState.FAILED


async def redeliver(
    services: WebhookServices, webhook: WebhookId, delivery: DeliveryId, principal: Principal
) -> Delivery:
    """Due at once, under its id. Raises Refused (unknown_webhook, unknown_delivery, webhook_disabled)."""
    must_be_enabled((await visible(services.subscriptions, webhook, principal)).subscription)
    for _ in range(TRIES_MAX):
        found = await services.deliveries.find(delivery)
        if found is None or found.channel != Channel(webhook):
            raise unknown_delivery()
        again = sent_anew(found, services.clock_us())
        if await services.deliveries.change(found, again, delay_ms=0):
            return again
    return again  # it is on its way this very moment


async def redeliver_many(
    services: WebhookServices, webhook: WebhookId, body: RedeliverBody, principal: Principal
) -> Redelivered:
    """The newest first, as many as one call may. Raises Refused (unknown_webhook, webhook_disabled)."""
    must_be_enabled((await visible(services.subscriptions, webhook, principal)).subscription)
    since_us = (body.since - EPOCH) // timedelta(microseconds=1)
    before: str | None = None
    count = 0
    while count < REDELIVERED_MAX:
        page = await services.deliveries.page(Channel(webhook), (body.status,), before=before, limit=PAGE)
        meant = [one for one in page.deliveries if one.created_at_us >= since_us]
        for one in meant:
            count += await services.deliveries.change(one, sent_anew(one, services.clock_us()), delay_ms=0)
        if len(meant) < PAGE:
            return Redelivered(redelivered=count, has_more=False)
        before = page.deliveries[-1].member
    return Redelivered(redelivered=count, has_more=True)
