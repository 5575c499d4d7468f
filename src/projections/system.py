"""The flow of the mill: events a second, what each step did and how long it took, what waits, how far the views are."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from domain.instant import utc
from events.inbox import Inbox, InboxDepth, InboxKey
from events.log import EventLog
from events.steps import Lane, Step
from projections.freshness import Freshness, Lag
from projections.holes import holes
from projections.on_demand import gathered
from projections.projection import THROUGHPUT
from projections.standing import AskStanding, Standing
from projections.throughput import (
    MINUTE_US,
    MINUTES_KEPT,
    TOTAL,
    StepThroughput,
    ThroughputRow,
    decode,
    minute_of,
    quantile_ms,
    row_key,
    summed,
)
from projections.views import ViewStore
from projections.webhook_flow import AskWebhooks, WebhookFlow

MINUTES_DEFAULT: Final = 5
MINUTES_MAX: Final = MINUTES_KEPT - 1
"""The place of the oldest minute kept is about to be taken by the next one."""


class StepFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One step: attempts within the window, their durations, and what lies in its inboxes now.

    Durations are None where nothing ended, and for steps that record no start. They are those of buckets, to a fifth.
    """

    step: Step
    started: int
    succeeded: int
    retried: int
    failed: int
    ended_per_s: float
    duration_p50_ms: float | None
    duration_p95_ms: float | None
    waiting: int
    pending: int


class PartitionFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One partition: events in the log, and how many of them the views do not show yet. `missing`: which are not there
    any more, so that the views stand still before them."""

    partition: int
    events: int
    lag_events: int
    missing: str | None = None


class Minute(msgspec.Struct, frozen=True):
    """Events that were recorded within one minute."""

    at: datetime
    events: int


class SystemFlow(msgspec.Struct, frozen=True, kw_only=True):
    """What the window says of the last `window_s` seconds, up to `as_of`; `lag_events` are not in it yet."""

    as_of: datetime
    window_s: float
    events_per_s: float
    lag_events: int
    steps: tuple[StepFlow, ...]
    partitions: tuple[PartitionFlow, ...]
    minutes: tuple[Minute, ...]
    webhooks: WebhookFlow | None
    standing: Standing | None


class System:
    """Raises LogUnavailable."""

    def __init__(
        self,
        event_log: EventLog,
        views: ViewStore,
        inbox: Inbox,
        *,
        clock_us: Callable[[], int],
        webhooks: AskWebhooks | None = None,
        standing: AskStanding | None = None,
    ) -> None:
        self._webhooks = webhooks
        self._standing = standing
        self._log = event_log
        self._views = views
        self._inbox = inbox
        self._freshness = Freshness(event_log, views)
        self._clock_us = clock_us

    async def flow(self, minutes: int = MINUTES_DEFAULT) -> SystemFlow:
        """The present minute, which is not over, and those before it: `minutes` of them."""
        now_us = self._clock_us()
        first = minute_of(now_us) - minutes
        window_s = (now_us - first * MINUTE_US) / 1_000_000
        wanted = range(first, first + minutes + 1)
        partitions = range(self._views.partitions)
        rows = [row for part in await gathered(partitions, lambda one: self._rows(one, wanted)) for row in part]
        lags = await self.lags()
        missing = {hole.partition: str(hole) for hole in await holes(self._log, self._views)}
        steps = {one.step: one for one in summed(step for row in rows for step in row.steps)}
        depths = await self._depths()
        events = dict.fromkeys(wanted, 0)
        for row in rows:
            events[row.minute] += row.events
        return SystemFlow(
            as_of=utc(now_us),
            window_s=round(window_s, 3),
            events_per_s=round(sum(events.values()) / window_s, 3),
            lag_events=sum(lag.events for lag in lags),
            steps=tuple(_step(steps.get(step) or StepThroughput(step), depths[step], window_s) for step in Step),
            partitions=tuple(_partition(one, lag, missing.get(one)) for one, lag in zip(partitions, lags, strict=True)),
            minutes=tuple(Minute(utc(minute * MINUTE_US), count) for minute, count in events.items()),
            webhooks=await self.webhook_counts(),
            standing=None if self._standing is None else await self._standing(),
        )

    async def totals(self) -> ThroughputRow:
        """Everything that the views have ever counted, all partitions together."""
        found = await gathered(range(self._views.partitions), self._total)
        return ThroughputRow(0, sum(one.events for one in found), summed(step for one in found for step in one.steps))

    async def depths(self) -> dict[InboxKey, InboxDepth]:
        """What lies in each inbox now."""
        keys = [
            InboxKey(partition, step, lane)
            for partition in range(self._views.partitions)
            for step in Step
            for lane in Lane
        ]
        return dict(zip(keys, await self._inbox.depths(keys), strict=True))

    async def lags(self) -> list[Lag]:
        """How far the views are behind, by partition."""
        return await gathered(range(self._views.partitions), self._freshness.ask)

    async def webhook_counts(self) -> WebhookFlow | None:
        """None where there are none to ask."""
        return None if self._webhooks is None else await self._webhooks()

    async def _total(self, partition: int) -> ThroughputRow:
        (payload,) = await self._views.rows(partition, THROUGHPUT, [TOTAL.id])
        return decode(payload) if payload else ThroughputRow(0, 0)

    async def _rows(self, partition: int, minutes: range) -> list[ThroughputRow]:
        ids = [row_key(minute).id for minute in minutes]
        found = (decode(payload) for payload in await self._views.rows(partition, THROUGHPUT, ids) if payload)
        # A place in the ring may still hold the minute of an hour ago.
        return [row for row in found if row.minute in minutes]

    async def _depths(self) -> dict[Step, InboxDepth]:
        found = dict.fromkeys(Step, InboxDepth(0, 0))
        for key, depth in (await self.depths()).items():
            known = found[key.step]
            found[key.step] = InboxDepth(known.waiting + depth.waiting, known.pending + depth.pending)
        return found


def _step(done: StepThroughput, depth: InboxDepth, window_s: float) -> StepFlow:
    return StepFlow(
        step=done.step,
        started=done.started,
        succeeded=done.succeeded,
        retried=done.retried,
        failed=done.failed,
        ended_per_s=round((done.succeeded + done.retried + done.failed) / window_s, 3),
        duration_p50_ms=quantile_ms(done.durations, 0.5),
        duration_p95_ms=quantile_ms(done.durations, 0.95),
        waiting=depth.waiting,
        pending=depth.pending,
    )


def _partition(partition: int, lag: Lag, missing: str | None) -> PartitionFlow:
    return PartitionFlow(partition=partition, events=lag.as_of + lag.events, lag_events=lag.events, missing=missing)
