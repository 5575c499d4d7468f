"""Figures of the whole installation, read from Redis: what the log and the views say, and how Redis is."""

import asyncio

from events.errors import LogError
from events.keys import Keys
from events.redis_border import RedisClient
from events.redis_replicas import primaries
from events.redis_setup import durability, memory
from millstream.observing import catalogue
from millstream.observing.registry import Distribution, Registry
from projections.standing import AskStanding
from projections.system import System
from projections.throughput import BUCKETS_MAX, StepThroughput
from projections.webhook_flow import WebhookFlow


class Installation:
    """Asked once a scrape."""

    def __init__(self, system: System, standing: AskStanding, client: RedisClient, keys: Keys) -> None:
        self._keys = keys
        self._system = system
        self._standing = standing
        self._client = client

    async def look(self) -> Registry:
        """All figures as they are now; where Redis does not answer, only that it does not."""
        found = Registry()
        try:
            await asyncio.gather(self._put_flow(found), self._put_standing(found), self._put_redis(found))
        except LogError:
            found = Registry()
            found.set(catalogue.REDIS_UP, 0)
            return found
        found.set(catalogue.REDIS_UP, 1)
        return found

    async def _put_flow(self, found: Registry) -> None:
        totals, depths, lags = await asyncio.gather(self._system.totals(), self._system.depths(), self._system.lags())
        for partition, lag in enumerate(lags):
            found.set(catalogue.EVENTS, lag.as_of + lag.events, str(partition))
            found.set(catalogue.PROJECTOR_LAG, lag.events, str(partition))
        for inbox, depth in depths.items():
            found.add(catalogue.WAITING, depth.waiting, inbox.step.value, inbox.lane.value)
            found.add(catalogue.PENDING, depth.pending, inbox.step.value, inbox.lane.value)
        for step in totals.steps:
            _put_step(found, step)
        webhooks = await self._system.webhook_counts()
        if webhooks is not None:
            _put_webhooks(found, webhooks)

    async def _put_standing(self, found: Registry) -> None:
        standing = await self._standing()
        found.set(catalogue.DEAD_LETTERS, standing.dead_letters)
        found.set(catalogue.TIMERS, standing.timers)
        found.set(catalogue.WORKERS, standing.workers)
        found.set(catalogue.HALTED, sum(len(one.partitions) for one in standing.halted))

    async def _put_redis(self, found: Registry) -> None:
        for place, one in enumerate(await memory(self._client)):
            found.set(catalogue.REDIS_MEMORY, one.used_bytes, str(place))
            found.set(catalogue.REDIS_MEMORY_MAX, one.max_bytes, str(place))
        for place, primary in enumerate(await primaries(self._client, self._keys)):
            found.set(catalogue.REDIS_REPLICAS, primary.replicas, str(place))
        found.set(catalogue.REDIS_MAY_LOSE, (await durability(self._client)).may_lose)


def _put_step(found: Registry, step: StepThroughput) -> None:
    name = step.step.value
    found.set(catalogue.STEP_STARTS, step.started, name)
    for outcome, count in (("succeeded", step.succeeded), ("retried", step.retried), ("failed", step.failed)):
        found.set(catalogue.STEP_ENDS, count, name, outcome)
    found.put(catalogue.STEP_SECONDS, distribution_of(step), name)


def distribution_of(step: StepThroughput) -> Distribution:
    """The buckets of the views, two by two: an octave each, as the bounds of the family are."""
    first, *between, last = [*step.durations, *[0] * (BUCKETS_MAX - len(step.durations))]
    octaves = [lower + upper for lower, upper in zip(between[::2], between[1::2], strict=True)]
    return Distribution([first, *octaves, last], step.duration_ms / 1_000)


def _put_webhooks(found: Registry, webhooks: WebhookFlow) -> None:
    found.set(catalogue.WEBHOOKS, webhooks.pending, "pending")
    found.set(catalogue.WEBHOOKS, webhooks.failed, "failed")
