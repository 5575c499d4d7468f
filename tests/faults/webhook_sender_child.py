"""A process that dispatches and sends webhooks, and nothing else; for tests that kill it.

Arguments: URL of Redis, rules of failpoints (may be empty). What is not public is called on 127.0.0.1 alone.
"""

import asyncio
import os
import sys
import time
from typing import Final

from events.failpoints import Failpoints, arm, parse_rules
from events.ids import IdFactory
from events.keys import Keys
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from events.redis_turns import RedisTurns
from outbound.client import OutboundClient
from outbound.guard import Guard
from outbound.memory_resolver import MemoryResolver
from outbound.rules import rules_of
from webhooks.agent import Polls, WebhookAgent
from webhooks.callbacks import CallbackFacts
from webhooks.health import Health
from webhooks.known import Known
from webhooks.outbox import Outbox
from webhooks.post import OutboundPost
from webhooks.redis_deliveries import RedisDeliveries
from webhooks.redis_subscriptions import RedisSubscriptions
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings

PARTITIONS: Final = 2
INSTALLATION_SECRET: Final = bytes(32)
LEASE_MS: Final = 400
POLLS: Final = Polls(take_s=0.05, read_s=0.02, idle_s=0.02, due_s=0.02)


def now_us() -> int:
    return time.time_ns() // 1_000


async def send(url: str) -> None:
    """Until it is killed."""
    settings, keys = WebhookSettings(first_retry_s=0.01), Keys(PARTITIONS)
    async with make_clients(url) as clients:
        log = RedisLog(clients.commands, clients.blocking, keys)
        subscriptions = RedisSubscriptions(clients.commands, keys)
        deliveries, known = RedisDeliveries(clients.commands, keys), Known(subscriptions)
        client = OutboundClient(Guard(rules_of("127.0.0.1/32", "80"), MemoryResolver({})))
        ids = IdFactory(lambda: now_us() // 1_000, os.urandom)
        sender = Sender(
            deliveries,
            Outbox(known, installation_secret=INSTALLATION_SECRET, clock_us=now_us),
            OutboundPost(client),
            CallbackFacts(log, clock_us=now_us, new_event_id=ids.event),
            Health(subscriptions, failing_disable_s=settings.failing_disable_s),
            settings=settings,
            clock_us=now_us,
            random=lambda: 0.5,
        )
        turns = RedisTurns(clients.commands, keys, holder=f"child-{os.getpid()}", lease="webhooks")
        agent = WebhookAgent(
            log,
            deliveries,
            subscriptions,
            known,
            sender,
            turns,
            settings=settings,
            clock_us=now_us,
            polls=POLLS,
            lease_ms=LEASE_MS,
        )
        await agent.run(asyncio.Event())


if __name__ == "__main__":
    arm(Failpoints(parse_rules(sys.argv[2])))
    asyncio.run(send(sys.argv[1]))
