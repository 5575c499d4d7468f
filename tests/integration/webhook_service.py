"""Webhooks over real HTTP: the routes on memory stores, the agent beside them, endpoints on loopback.

Time is real; what a test would have to wait for is short by its settings.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import urandom
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from domain import access
from domain.access import Principal
from events.ids import IdFactory
from events.memory import MemoryLog
from ingest.answers import exception_handlers
from ingest.webhook_routes import webhook_routes
from ingest.webhooks import WebhookServices
from millstream.methods import with_refusals
from millstream.problems import PROJECTION_PROBLEMS
from outbound.client import OutboundClient
from outbound.guard import Guard
from outbound.limits import Limits
from outbound.memory_resolver import MemoryResolver
from outbound.rules import rules_of
from projections.cursors import Cursors
from projections.routes_webhooks import webhook_reading_routes
from tests.waiting import wait_for
from tests.workshop import Workshop
from webhooks.agent import Polls, WebhookAgent
from webhooks.callbacks import CallbackFacts
from webhooks.health import Health
from webhooks.known import Known
from webhooks.memory_deliveries import MemoryDeliveries
from webhooks.memory_subscriptions import MemorySubscriptions
from webhooks.outbox import Outbox
from webhooks.post import OutboundPost
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings

PARTITIONS = 2
INSTALLATION_SECRET = bytes(32)
SETTINGS = WebhookSettings(first_retry_s=0.000_02, subscriptions_max=5, drain_s=0.2)


def now_us() -> int:
    return time.time_ns() // 1_000


class AlwaysOurs:
    """A lease that nobody else asks for."""

    async def take(self, *, ttl_ms: int) -> bool:
        return True

    async def give_back(self) -> None:
        return


class WebhookService:
    """`principal` is who asks."""

    def __init__(self, settings: WebhookSettings, deadline_s: float) -> None:
        self.settings = settings
        self.resolver = MemoryResolver({"public.example": ["93.184.216.34"]})
        self.guard = Guard(rules_of("127.0.0.1/32", "80,443"), self.resolver)
        self.outside = Guard(rules_of("", "80,443"), self.resolver)
        limits = Limits(body_bytes_max=64 * 1024, redirects_max=0, total_s_max=deadline_s, silence_s_max=deadline_s)
        self.client = OutboundClient(self.guard, post_limits=limits)
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=now_us)
        self.workshop = Workshop(self.log)
        self.subscriptions = MemorySubscriptions(clock_us=now_us)
        self.deliveries = MemoryDeliveries(partitions=PARTITIONS, clock_us=now_us)
        self.principal = access.EVERYBODY
        self.is_guarded_as_outside = False
        self.ids = IdFactory(lambda: now_us() // 1_000, urandom)
        self.api = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app(), raise_app_exceptions=False), base_url="http://mill/api/v1"
        )

    def agent(self) -> WebhookAgent:
        known = Known(self.subscriptions)
        sender = Sender(
            self.deliveries,
            Outbox(known, installation_secret=INSTALLATION_SECRET, clock_us=now_us),
            OutboundPost(self.client),
            CallbackFacts(self.log, clock_us=now_us, new_event_id=self.ids.event),
            Health(self.subscriptions, failing_disable_s=self.settings.failing_disable_s),
            settings=self.settings,
            clock_us=now_us,
            random=lambda: 0.5,
        )
        return WebhookAgent(
            self.log,
            self.deliveries,
            self.subscriptions,
            known,
            sender,
            AlwaysOurs(),
            settings=self.settings,
            clock_us=now_us,
            polls=Polls(read_s=0.02, idle_s=0.02, due_s=0.02, changed_s=0.05),
        )

    async def create(self, url: str, **asked: Any) -> dict[str, Any]:
        answer = await self.api.post("/webhooks", json={"url": url, **asked})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def deliveries_of(self, webhook: str, **query: str) -> list[dict[str, Any]]:
        answer = await self.api.get(f"/webhooks/{webhook}/deliveries", params=query)
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows

    async def ended(self, webhook: str, count: int = 1) -> list[dict[str, Any]]:
        """Its deliveries, once so many have ended."""

        found: list[dict[str, Any]] = []

        async def have_ended() -> bool:
            found[:] = [one for one in await self.deliveries_of(webhook) if one["status"] != "pending"]
            return len(found) >= count

        await wait_for(have_ended, f"{count} deliveries have ended")
        return found

    def _app(self) -> ASGIApp:
        services = WebhookServices(
            log=self.log,
            subscriptions=self.subscriptions,
            deliveries=self.deliveries,
            check_url=lambda url: (self.outside if self.is_guarded_as_outside else self.guard).check_url(url),
            unique=self.ids.unique,
            random_bytes=urandom,
            clock_us=now_us,
            installation_secret=INSTALLATION_SECRET,
            settings=self.settings,
            json_bytes_max=65_536,
        )
        cursors = Cursors(b"the secret of a test, long enough")
        routes = [
            *webhook_routes(services),
            *webhook_reading_routes(self.subscriptions, self.deliveries, cursors, clock_us=now_us),
        ]
        app = Starlette(routes=with_refusals(routes), exception_handlers=exception_handlers(PROJECTION_PROBLEMS))

        async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("state", {})
            access.admitted(scope, self.principal)
            await app(scope, receive, send)

        return admitted


def bound_to(*knowledge_bases: Any) -> Principal:
    return Principal(actor="key_1", scopes=frozenset(access.Scope), knowledge_bases=frozenset(knowledge_bases))


@asynccontextmanager
async def webhook_service(
    settings: WebhookSettings = SETTINGS, *, deadline_s: float = 20.0, with_agent: bool = True
) -> AsyncIterator[WebhookService]:
    service, stop = WebhookService(settings, deadline_s), asyncio.Event()
    working = asyncio.create_task(service.agent().run(stop)) if with_agent else None
    try:
        yield service
    finally:
        stop.set()
        if working is not None:
            await working
        await service.client.close()
        await service.api.aclose()
