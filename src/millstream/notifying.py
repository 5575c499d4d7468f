"""Webhooks in a role: every worker offers to dispatch and send them, one at a time does."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.redis_turns import RedisTurns
from millstream.calling import outbound_client
from millstream.settings import Settings
from millstream.stores import Stores, clock_us
from outbound.client import OutboundClient
from webhooks.agent import WebhookAgent
from webhooks.callbacks import CallbackFacts
from webhooks.health import Health
from webhooks.known import Known
from webhooks.outbox import Outbox
from webhooks.post import OutboundPost
from webhooks.redis_deliveries import RedisDeliveries
from webhooks.redis_subscriptions import RedisSubscriptions
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings

LEASE = "webhooks"


def webhook_settings(settings: Settings) -> WebhookSettings:
    """The limits as the operator set them."""
    return WebhookSettings(
        subscriptions_max=settings.webhooks_max,
        first_retry_s=settings.webhook_retry_first_ms / 1_000,
        per_endpoint_max=settings.webhook_endpoint_concurrency_max,
        concurrent_max=settings.webhook_concurrency_max,
        pending_max=settings.webhook_pending_max,
        delivered_keep_s=settings.webhook_delivered_retention_s,
        failed_keep_s=settings.webhook_failed_retention_s,
        kept_max=settings.webhook_deliveries_kept_max,
        failing_disable_s=settings.webhook_failing_disable_s,
        rotation_overlap_s=settings.webhook_rotation_overlap_s,
        drain_s=settings.drain_s_max,
    )


def subscriptions_of(stores: Stores) -> RedisSubscriptions:
    """Who is told of what."""
    return RedisSubscriptions(stores.clients.commands, stores.keys)


def deliveries_of(stores: Stores) -> RedisDeliveries:
    """What was sent, or is to be."""
    return RedisDeliveries(stores.clients.commands, stores.keys)


@asynccontextmanager
async def webhooks_beside(stores: Stores, *, holder: str) -> AsyncIterator[None]:
    """Dispatches and sends while the block lasts, then lets what is on its way land. Raises Stop."""
    client, stop = outbound_client(stores.settings), asyncio.Event()
    working = asyncio.create_task(make_agent(stores, client, holder=holder).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        await client.close()


def make_agent(stores: Stores, client: OutboundClient, *, holder: str) -> WebhookAgent:
    """`holder` is unique to the process."""
    settings = webhook_settings(stores.settings)
    subscriptions, deliveries = subscriptions_of(stores), deliveries_of(stores)
    known = Known(subscriptions)
    sender = Sender(
        deliveries,
        Outbox(known, installation_secret=stores.secret, clock_us=clock_us),
        OutboundPost(client),
        CallbackFacts(stores.log, clock_us=clock_us, new_event_id=stores.ids.event),
        Health(subscriptions, failing_disable_s=settings.failing_disable_s),
        settings=settings,
        clock_us=clock_us,
        random=random.random,
    )
    turns = RedisTurns(stores.clients.commands, stores.keys, holder=holder, lease=LEASE)
    return WebhookAgent(
        stores.log,
        deliveries,
        subscriptions,
        known,
        sender,
        turns,
        settings=settings,
        clock_us=clock_us,
        lease_ms=stores.settings.lease_s * 1_000,
    )
