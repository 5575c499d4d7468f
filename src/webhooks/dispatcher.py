"""From facts to deliveries: reads a partition's log behind its checkpoint, and keeps what follows.

Whatever dies, and wherever, nothing is lost and nothing is kept twice: checkpoint and deliveries change together,
and a delivery's id follows from the fact.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from domain.decider import fold
from domain.deciders import TASK
from domain.errors import ImpossibleEvent
from domain.task import FinishedTask
from events.envelope import Envelope
from events.errors import ArchiveRefused, CorruptEvent, SegmentDamaged, VersionGap
from events.failpoints import Place, failpoint
from events.ids import TaskId
from events.log import EventLog
from events.task import TaskFinished, TaskSubmitted
from webhooks.deliveries import Checkpoint, DeliveryStore, Hold
from webhooks.delivery import (
    Callback,
    Channel,
    Delivery,
    DeliveryState,
    callback_channel,
    delivery_id,
    given_up,
)
from webhooks.event_names import EventName, name_of
from webhooks.known import Known
from webhooks.messages import Told, told, told_of_unreadable
from webhooks.subscription import Subscription
from webhooks.subscriptions import Everything, SubscriptionStore

PAGE_EVENTS: Final = 500
HISTORIES_AT_ONCE: Final = 16
TOO_MANY_PENDING: Final = "too_many_pending"


class Dispatcher:
    """One partition's. The hold is that of whoever runs it."""

    def __init__(
        self,
        event_log: EventLog,
        deliveries: DeliveryStore,
        subscriptions: SubscriptionStore,
        known: Known,
        hold: Hold,
        *,
        pending_max: int,
    ) -> None:
        self._log = event_log
        self._deliveries = deliveries
        self._subscriptions = subscriptions
        self._known = known
        self._hold = hold
        self._pending_max = pending_max
        self._histories = asyncio.Semaphore(HISTORIES_AT_ONCE)
        self.is_behind = False

    async def advance(self) -> int | None:
        """Looks at one page; answers how many deliveries follow from it, None where somebody else has the partition.

        0 also where events were looked at and nobody is to be told; `is_behind` says whether there are more.
        Raises what the log and the stores raise.
        """
        partition, checkpoint = self._hold.partition, self._hold.checkpoint
        page = await self._log.read(partition, after=checkpoint.position, limit=PAGE_EVENTS)
        self.is_behind = len(page) == PAGE_EVENTS
        if not page:
            return (
                0
                if checkpoint.is_caught_up
                else await self._put(Checkpoint(position=checkpoint.position, is_caught_up=True), [])
            )
        # Asked behind the read: whoever subscribed before a fact entered the log is among those that are asked.
        everything = await self._known.fresh()
        followed = await self._of_page([one for one in page if isinstance(one, Envelope)], everything)
        is_caught_up = checkpoint.is_caught_up or not self.is_behind
        return await self._put(Checkpoint(position=page[-1].position, is_caught_up=is_caught_up), followed)

    async def skip(self) -> bool:
        """Where nobody is to be told of anything: moves to the end of the log, unless somebody has come meanwhile.

        False: the log has to be read. Raises like `advance`.
        """
        if not self._hold.checkpoint.is_caught_up:
            return False
        head = await self._log.head(self._hold.partition)
        if is_needed(await self._known.fresh()):
            return False
        return await self._put(Checkpoint(position=head.position, is_caught_up=True), []) is not None

    async def _put(self, checkpoint: Checkpoint, deliveries: Sequence[Delivery]) -> int | None:
        if deliveries:
            failpoint(Place.DISPATCHER_READ)
        hold = await self._deliveries.put(self._hold, checkpoint, deliveries)
        if hold is None:
            return None
        self._hold = hold
        return len(deliveries)

    async def _of_page(self, page: Sequence[Envelope], everything: Everything) -> list[Delivery]:
        asked = await self._callbacks_expected(page, everything)
        parts = await asyncio.gather(*(self._of_fact(one, everything, with_callback=asked) for one in page))
        return await self._within_bounds([delivery for part in parts for delivery in part])

    async def _callbacks_expected(self, page: Sequence[Envelope], everything: Everything) -> bool:
        """A log that was restored has callbacks that nobody has said of."""
        if everything.has_callbacks:
            return True
        if any(isinstance(one.event, TaskSubmitted) and one.event.callback_url for one in page):
            await self._subscriptions.expect_callbacks()
            return True
        return False

    async def _of_fact(self, envelope: Envelope, everything: Everything, *, with_callback: bool) -> list[Delivery]:
        name = name_of(envelope.event)
        if name is None:
            return []
        asking = [kept.subscription for kept in everything.kept if kept.subscription.asks_for(name)]
        is_end = with_callback and isinstance(envelope.event, TaskFinished)
        if not asking and not is_end:
            return []
        async with self._histories:
            message, history = await self._told(name, envelope)
        found = self._to_subscribers(name, envelope, message, asking)
        callback = self._to_caller(envelope, message, history) if is_end else None
        return found if callback is None else [*found, callback]

    async def _told(self, name: EventName, envelope: Envelope) -> tuple[Told, Sequence[Envelope]]:
        try:
            history = await self._log.history(envelope.stream_id)
            return told(name, envelope, history), history
        except (CorruptEvent, VersionGap, SegmentDamaged, ArchiveRefused, ImpossibleEvent):
            return told_of_unreadable(name, envelope), ()

    def _to_subscribers(
        self, name: EventName, envelope: Envelope, message: Told, asking: Sequence[Subscription]
    ) -> list[Delivery]:
        position = envelope.position
        recorded_at_ms = envelope.recorded_at_us // 1_000 if position is None else position.ms
        return [
            Delivery(
                id=delivery_id(one.id, envelope.event_id, self._hold.partition),
                channel=Channel(one.id),
                type=name.value,
                event_id=envelope.event_id,
                created_at_us=recorded_at_ms * 1_000,
                next_attempt_at_us=recorded_at_ms * 1_000,
                body=message.body,
            )
            for one in asking
            if one.wants(name, message.knowledge_base_id, recorded_at_ms)
        ]

    def _to_caller(self, envelope: Envelope, message: Told, history: Sequence[Envelope]) -> Delivery | None:
        """The callback of a finished task, unless its history says how it went."""
        task = fold(TASK, history).state if history else None
        if not isinstance(task, FinishedTask) or task.submitted.callback_url is None or task.callback.is_over:
            return None
        url, at_us = task.submitted.callback_url, task.finished_at_us
        channel = callback_channel(url)
        return Delivery(
            id=delivery_id(Channel("callback"), envelope.event_id, self._hold.partition),
            channel=channel,
            type=EventName.TASK_FINISHED.value,
            event_id=envelope.event_id,
            created_at_us=at_us,
            next_attempt_at_us=at_us,
            body=message.body,
            callback=Callback(url=url, actor=history[0].actor or "", task_id=TaskId(envelope.stream_id)),
        )

    async def _within_bounds(self, deliveries: list[Delivery]) -> list[Delivery]:
        channels = list(dict.fromkeys(one.channel for one in deliveries))
        counts = await self._deliveries.counts(self._hold.partition, channels) if channels else []
        pending = {
            channel: count.get(DeliveryState.PENDING, 0) for channel, count in zip(channels, counts, strict=True)
        }
        bounded: list[Delivery] = []
        for one in deliveries:
            is_over = pending[one.channel] >= self._pending_max and one.callback is None
            bounded.append(given_up(one, TOO_MANY_PENDING, one.created_at_us) if is_over else one)
            pending[one.channel] += not is_over
        return bounded


def is_needed(everything: Everything) -> bool:
    """Whether anybody is to be told of anything."""
    return everything.has_callbacks or any(kept.subscription.is_enabled for kept in everything.kept)
