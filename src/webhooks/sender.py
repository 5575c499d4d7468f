"""Sends what is due: each message in a flight of its own, so many at a time for an endpoint, so many in all.

A message is posted first and recorded then: whoever dies in between leaves it due, and it is sent again under the same
id. Only the recording is repeated.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from domain.errors import Contention
from events.errors import LogFull, LogUnavailable
from events.failpoints import Place, failpoint
from webhooks.callbacks import CallbackFacts
from webhooks.deliveries import DeliveryStore, Hold
from webhooks.delivery import Again, Attempt, Channel, Delivery, DeliveryId, Ended, after_attempt, given_up
from webhooks.health import Health
from webhooks.outbox import NoTarget, Outbox, Target
from webhooks.post import Answered, Post, Unanswered
from webhooks.schedule import Schedule, retry_after_s
from webhooks.settings import WebhookSettings
from webhooks.signing import headers_of

CHANNELS_MAX: Final = 1_000
"""Channels looked at in one go, those that are overdue for longest."""

READY_MIN: Final = 10
READY_READ: Final = 20
"""Of a channel with fewer than `READY_MIN` at hand, so many of each partition are read at once: the next message starts
when one lands, without asking the store."""

BODY_CHARACTERS_MAX: Final = 1_000
"""Of an answer, for the person who reads why a message was not taken."""

RECORD_PAUSE_S: Final = 0.5

_log = structlog.get_logger(__name__)


class Sender:
    """Sends for the partitions that are held. `clock_us` is unix µs, `random` answers floats in [0, 1)."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        outbox: Outbox,
        post: Post,
        facts: CallbackFacts,
        health: Health,
        *,
        settings: WebhookSettings,
        clock_us: Callable[[], int],
        random: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._outbox = outbox
        self._post = post
        self._facts = facts
        self._health = health
        self._settings = settings
        self._schedule = Schedule(settings.first_retry_s)
        self._clock_us = clock_us
        self._random = random
        self._flights: dict[DeliveryId, asyncio.Task[None]] = {}
        self._busy: Counter[Channel] = Counter()
        self._ready: dict[Channel, deque[tuple[Hold, Delivery]]] = {}
        self._at_hand: set[DeliveryId] = set()
        self._landed: set[DeliveryId] = set()
        self._is_draining = False
        self._failing: set[Channel] = set()
        self.landed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def look(self, holds: Sequence[Hold]) -> int:
        """Reads what is due, where little of it is at hand, and starts what has room; answers how many were started.

        Whatever lands meanwhile lets the next one start. Raises what the store raises.
        """
        self._landed.clear()
        started = self._start_ready()
        for hold in holds:
            due = await self._deliveries.due(hold.partition, limit=CHANNELS_MAX)
            low = [channel for channel in due.channels if len(self._ready.get(channel, ())) < READY_MIN]
            await asyncio.gather(*(self._read(hold, channel) for channel in low))
            started += self._start_ready()
        return started

    async def drain(self, timeout_s: float) -> None:
        """Lets what is on its way land, and breaks off what does not: it stays due. Nothing new starts meanwhile."""
        self._is_draining = True
        try:
            self._ready.clear()
            self._at_hand = set(self._flights)
            flights = list(self._flights.values())
            if flights:
                _, late = await asyncio.wait(flights, timeout=timeout_s)
                for flight in late:
                    flight.cancel()
                await asyncio.gather(*late, return_exceptions=True)
        finally:
            self._is_draining = False

    async def _read(self, hold: Hold, channel: Channel) -> None:
        # What is at hand already is due still: it is asked for too, and passed over. So is what landed since this look
        # began: the store may have answered before that was recorded, and the message would be sent twice.
        at_hand = self._busy[channel] + len(self._ready.get(channel, ()))
        for delivery in await self._deliveries.next_due(hold.partition, channel, limit=READY_READ + at_hand):
            if delivery.id not in self._at_hand and delivery.id not in self._landed:
                self._at_hand.add(delivery.id)
                self._ready.setdefault(channel, deque()).append((hold, delivery))

    def _start_ready(self) -> int:
        """One of each channel after the other, as long as there is room."""
        started, channels = 0, deque(self._ready)
        while channels and not self._is_draining and self.in_flight < self._settings.concurrent_max:
            channel = channels.popleft()
            waiting = self._ready[channel]
            if self._room_of(channel) <= 0:
                continue
            self._start(*waiting.popleft())
            started += 1
            if waiting:
                channels.append(channel)
            else:
                del self._ready[channel]
        return started

    def _room_of(self, channel: Channel) -> int:
        """An endpoint that failed last is tried by one message at a time: ten that hang would take room from others."""
        most = 1 if channel in self._failing else self._settings.per_endpoint_max
        return most - self._busy[channel]

    def _start(self, hold: Hold, delivery: Delivery) -> None:
        self._busy[delivery.channel] += 1
        flight = asyncio.create_task(self._fly(hold, delivery), name=f"webhook {delivery.id}")
        self._flights[delivery.id] = flight
        flight.add_done_callback(lambda _: self._land(delivery))

    def _land(self, delivery: Delivery) -> None:
        del self._flights[delivery.id]
        self._at_hand.discard(delivery.id)
        self._landed.add(delivery.id)
        self._busy[delivery.channel] -= 1
        if not self._busy[delivery.channel]:
            del self._busy[delivery.channel]
        self._start_ready()
        self.landed.set()

    async def _fly(self, hold: Hold, delivery: Delivery) -> None:
        try:
            await self._send(hold, delivery)
        except (LogUnavailable, LogFull) as error:
            _log.warning("webhook_waits", delivery=delivery.id, error=type(error).__name__)
            await asyncio.sleep(RECORD_PAUSE_S)
        except Exception:
            # It stays due; a pause keeps a bug of ours from becoming a flood at somebody else's door.
            _log.exception("webhook_broke", delivery=delivery.id)
            await asyncio.sleep(self._settings.first_retry_s)

    async def _send(self, hold: Hold, delivery: Delivery) -> None:
        failpoint(Place.SENDER_TAKEN)
        target = await self._outbox.target_of(delivery)
        if isinstance(target, NoTarget):
            ended = given_up(delivery, target.error, self._clock_us())
            await self._deliveries.change(delivery, ended, delay_ms=None, hold=hold)
            return
        attempt, asked_s = await self._attempt(delivery, target)
        failpoint(Place.SENDER_ANSWERED)
        self._note_channel(delivery.channel, attempt)
        outcome = after_attempt(
            delivery,
            attempt,
            self._schedule,
            retry_after_s=asked_s,
            random=self._random(),
            now_us=self._clock_us(),
        )
        await self._record(hold, delivery, attempt, outcome, target)

    async def _attempt(self, delivery: Delivery, target: Target) -> tuple[Attempt, float | None]:
        """The attempt, and what the endpoint asks to wait."""
        at_us, began_s = self._clock_us(), time.monotonic()
        signed = headers_of(delivery.id, at_us // 1_000_000, delivery.body, target.secrets)
        answer = await self._post.post(target.url, delivery.body, {"content-type": "application/json", **signed})
        took_ms = round((time.monotonic() - began_s) * 1_000)
        match answer:
            case Answered():
                attempt = Attempt(
                    number=delivery.next_number,
                    at_us=at_us,
                    took_ms=took_ms,
                    status_code=answer.status_code,
                    body=readable(answer.body),
                )
                return attempt, retry_after_s(answer.retry_after, self._clock_us())
            case Unanswered(code, detail):
                number = delivery.next_number
                return Attempt(number=number, at_us=at_us, took_ms=took_ms, error=code, detail=detail), None

    async def _record(
        self, hold: Hold, delivery: Delivery, attempt: Attempt, outcome: Ended | Again, target: Target
    ) -> None:
        """Tried until it is done: what is not recorded is sent again."""
        delay_ms = round(outcome.delay_s * 1_000) if isinstance(outcome, Again) else None
        while True:
            try:
                if delivery.callback is not None:
                    await self._facts.record(delivery.callback, outcome.delivery, attempt)
                await self._deliveries.change(delivery, outcome.delivery, delay_ms=delay_ms, hold=hold)
                failpoint(Place.SENDER_RECORDED)
                if target.webhook is not None:
                    await self._health.note(target.webhook, attempt, self._clock_us())
            except (LogUnavailable, LogFull, Contention) as error:
                _log.warning("webhook_not_recorded", delivery=delivery.id, error=type(error).__name__)
                await asyncio.sleep(RECORD_PAUSE_S)
            else:
                break
        _log.info(
            "webhook_attempted",
            delivery=delivery.id,
            channel=delivery.channel,
            attempt=attempt.number,
            status=attempt.status_code,
            error=attempt.error,
            took_ms=attempt.took_ms,
        )

    def _note_channel(self, channel: Channel, attempt: Attempt) -> None:
        if attempt.is_success:
            self._failing.discard(channel)
        else:
            self._failing.add(channel)


def readable(body: bytes) -> str:
    """The first of an answer as text; control characters, which a terminal would obey, become blanks."""
    text = body[: 4 * BODY_CHARACTERS_MAX].decode("utf-8", "replace")[:BODY_CHARACTERS_MAX]
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
