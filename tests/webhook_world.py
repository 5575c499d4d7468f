"""Webhooks in memory: a log, its stores, and endpoints whose answers a test gives."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from itertools import count

from standardwebhooks import Webhook

from events.envelope import Envelope
from events.ids import EventId
from events.memory import MemoryLog
from tests.webhook_samples import T0_US
from tests.workshop import FIRST_US, Workshop
from webhooks.callbacks import CallbackFacts
from webhooks.deliveries import Hold
from webhooks.delivery import Channel, Delivery, DeliveryState
from webhooks.dispatcher import Dispatcher
from webhooks.health import Health
from webhooks.known import Known
from webhooks.memory_deliveries import MemoryDeliveries
from webhooks.memory_subscriptions import MemorySubscriptions
from webhooks.outbox import Outbox
from webhooks.post import Answered, Unanswered
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings
from webhooks.subscription import Kept
from webhooks.sweeper import Sweeper

assert T0_US == FIRST_US

Reply = Answered | Unanswered
INSTALLATION_SECRET = bytes(32)


class Received(dict[str, str]):
    """Headers of one message, with its body and where it went."""

    url: str = ""
    body: bytes = b""

    def verify(self, secret: str) -> None:
        """As a receiver does whose clock is the sender's."""
        sent_at = datetime.fromtimestamp(int(self["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(self["webhook-id"], sent_at, self.body.decode())
        assert expected in self["webhook-signature"].split(" ")


class Endpoints:
    """Answers by URL: 200, unless a test says otherwise. Counts how many are on their way to each."""

    def __init__(self) -> None:
        self.replies: dict[str, Callable[[], Awaitable[Reply]]] = {}
        self.received: list[Received] = []
        self.at_once: defaultdict[str, int] = defaultdict(int)
        self.at_once_max: defaultdict[str, int] = defaultdict(int)

    def say(self, url: str, *replies: Reply) -> None:
        """These one after the other, the last one for ever."""
        left = list(replies)

        async def reply() -> Reply:
            return left.pop(0) if len(left) > 1 else left[0]

        self.replies[url] = reply

    def hang(self, url: str) -> asyncio.Event:
        """Answers nothing until the event is set."""
        released = asyncio.Event()

        async def reply() -> Reply:
            await released.wait()
            return Unanswered("fetch_limit", "not done within 20 s")

        self.replies[url] = reply
        return released

    def of(self, url: str) -> list[Received]:
        return [one for one in self.received if one.url == url]

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        received = Received(headers)
        received.url, received.body = url, body
        self.received.append(received)
        self.at_once[url] += 1
        self.at_once_max[url] = max(self.at_once_max[url], self.at_once[url])
        try:
            await asyncio.sleep(0)
            return await self.replies[url]() if url in self.replies else Answered(200, b"thanks")
        finally:
            self.at_once[url] -= 1


class WebhookWorld:
    """One partition. Time is moved by hand."""

    def __init__(self, settings: WebhookSettings | None = None) -> None:
        self.now_us = T0_US
        self.settings = settings or WebhookSettings()
        self.log = MemoryLog(partitions=1, clock_us=self.clock_us)
        self.workshop = Workshop(self.log)
        self.subscriptions = MemorySubscriptions(clock_us=self.clock_us)
        self.deliveries = MemoryDeliveries(partitions=1, clock_us=self.clock_us)
        self.endpoints = Endpoints()
        self._numbers = count(1)

    def clock_us(self) -> int:
        return self.now_us

    def pass_time(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)

    def new_known(self) -> Known:
        return Known(self.subscriptions, clock_s=lambda: self.now_us / 1_000_000)

    async def subscribe(self, one: Kept) -> Kept:
        created = await self.subscriptions.create(one, count_max=1_000)
        assert isinstance(created, Kept)
        return created

    async def dispatcher(self, *, pending_max: int = 1_000) -> Dispatcher:
        hold = await self.deliveries.take_over(0)
        return Dispatcher(
            self.log, self.deliveries, self.subscriptions, self.new_known(), hold, pending_max=pending_max
        )

    async def dispatch(self) -> int:
        """Everything that is in the log, by whoever takes over now."""
        dispatcher, made = await self.dispatcher(), 0
        while True:
            moved = await dispatcher.advance()
            assert moved is not None
            made += moved
            if not dispatcher.is_behind:
                return made

    def sender(self) -> Sender:
        known = self.new_known()
        return Sender(
            self.deliveries,
            Outbox(known, installation_secret=INSTALLATION_SECRET, clock_us=self.clock_us),
            self.endpoints,
            CallbackFacts(self.log, clock_us=self.clock_us, new_event_id=self._event_id),
            Health(self.subscriptions, failing_disable_s=self.settings.failing_disable_s),
            settings=self.settings,
            clock_us=self.clock_us,
            random=lambda: 0.5,
        )

    def sweeper(self) -> Sweeper:
        return Sweeper(self.deliveries, self.new_known(), self.settings)

    async def send(self, sender: Sender | None = None) -> int:
        """Everything that is due now, by whoever takes over now; answers how many were sent."""
        sending, sent = sender or self.sender(), 0
        hold = await self.hold()
        while started := await sending.look([hold]):
            sent += started
            await sending.drain(5)
        return sent

    async def hold(self) -> Hold:
        return await self.deliveries.take_over(0)

    async def listed(self, channel: str | None = None) -> list[Delivery]:
        """Oldest first, of one channel or of all."""
        channels = [Channel(channel)] if channel else await self.deliveries.channels(0)
        pages = [await self.deliveries.page(one, tuple(DeliveryState), before=None, limit=100_000) for one in channels]
        return sorted((one for page in pages for one in page.deliveries), key=lambda one: one.member)

    async def facts(self) -> list[Envelope]:
        return [one for one in await self.log.read(0, limit=10_000) if isinstance(one, Envelope)]

    def _event_id(self) -> EventId:
        return EventId(f"{next(self._numbers):012x}" + "7" + "0" * 3 + "8" + "0" * 15)
