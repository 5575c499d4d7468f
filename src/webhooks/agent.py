"""The one process that dispatches and sends: under a lease, over all partitions, until told to stop.

One at a time, so that "ten on their way to an endpoint" is a promise of the installation and not of each process. The
lease saves double work; what keeps deliveries right are the tokens that it takes for each partition.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec
import structlog

from events.errors import LogError, LogFull, LogUnavailable
from events.log import EventLog
from events.seldom import Seldom
from webhooks.deliveries import DeliveryStore, Hold
from webhooks.dispatcher import Dispatcher, is_needed
from webhooks.known import Known
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings
from webhooks.subscriptions import SubscriptionStore
from webhooks.sweeper import Sweeper

LEASE_MS: Final = 10_000
RENEWALS_A_LEASE: Final = 4


class Polls(msgspec.Struct, frozen=True, kw_only=True):
    """How often what is looked at, seconds."""

    take_s: float = 2.0
    """Whether the lease is free, by those that wait for it."""
    read_s: float = 0.25
    """How long a fact waits at most until somebody looks."""
    idle_s: float = 1.0
    """Whether anybody is to be told of anything, where nobody is: one call."""
    skip_s: float = 60.0
    """How often checkpoints skip to the end then."""
    due_s: float = 0.25
    """How long a message that is due waits at most."""
    changed_s: float = 1.0
    """How long what waits for a subscription that was disabled or deleted may still wait."""
    sweep_s: float = 30.0
    trouble_s: float = 1.0
    """After a store that did not answer, or a bug of ours."""


_log = structlog.get_logger(__name__)


class Turns(Protocol):
    """A lease among processes. Raises LogUnavailable."""

    async def take(self, *, ttl_ms: int) -> bool: ...

    async def give_back(self) -> None: ...


class WebhookAgent:
    """Collaborators belong to the caller. `clock_us` is unix µs."""

    def __init__(
        self,
        event_log: EventLog,
        deliveries: DeliveryStore,
        subscriptions: SubscriptionStore,
        known: Known,
        sender: Sender,
        turns: Turns,
        *,
        settings: WebhookSettings,
        clock_us: Callable[[], int],
        polls: Polls | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._log = event_log
        self._deliveries = deliveries
        self._subscriptions = subscriptions
        self._known = known
        self._sender = sender
        self._sweeper = Sweeper(deliveries, known, settings)
        self._turns = turns
        self._settings = settings
        self._clock_us = clock_us
        self._polls = polls or Polls()
        self._lease_ms = lease_ms
        self._told = Seldom()

    async def run(self, stop: asyncio.Event) -> None:
        """Waits for its turn, works until `stop` or until the turn is lost, and gives it back."""
        while not stop.is_set():
            if not await self._try(self._turns.take(ttl_ms=self._lease_ms)):
                await pause(stop, self._polls.take_s)
                continue
            lost = asyncio.Event()
            try:
                await self._turn(stop, lost)
            finally:
                with contextlib.suppress(LogError):
                    await self._turns.give_back()

    async def _turn(self, stop: asyncio.Event, lost: asyncio.Event) -> None:
        over = asyncio.Event()
        watching = [asyncio.create_task(_set_behind(one, over)) for one in (stop, lost)]
        renewing = asyncio.create_task(self._renew(over, lost))
        try:
            holds = await self._take_over(over)
            if holds:
                _log.info("webhooks_taken_over", partitions=len(holds))
                async with asyncio.TaskGroup() as group:
                    for loop in self._loops(holds, over, lost):
                        group.create_task(loop)
        finally:
            await self._sender.drain(0 if lost.is_set() else self._settings.drain_s)
            for task in (*watching, renewing):
                task.cancel()
            await asyncio.gather(*watching, renewing, return_exceptions=True)

    def _loops(self, holds: list[Hold], over: asyncio.Event, lost: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        dispatchers = [
            Dispatcher(
                self._log,
                self._deliveries,
                self._subscriptions,
                self._known,
                hold,
                pending_max=self._settings.pending_max,
            )
            for hold in holds
        ]
        return [
            self._repeat(over, self._dispatching(dispatchers, lost)),
            self._repeat(over, lambda: self._send(holds)),
            self._repeat(over, self._sweeping(holds)),
        ]

    async def _repeat(self, over: asyncio.Event, work: Callable[[], Awaitable[float]]) -> None:
        """`work` answers how long to pause; what does not answer is waited for, and a bug of ours is told of."""
        while not over.is_set():
            try:
                pause_s = await work()
            except (LogUnavailable, LogFull) as error:
                self._tell_of(error)
                pause_s = self._polls.trouble_s
            except Exception:
                _log.exception("webhooks_broke")
                pause_s = self._polls.trouble_s
            await pause(over, pause_s)

    def _dispatching(self, dispatchers: list[Dispatcher], lost: asyncio.Event) -> Callable[[], Awaitable[float]]:
        loop = asyncio.get_running_loop()
        skip_at_s = loop.time()

        async def dispatch() -> float:
            nonlocal skip_at_s
            if not is_needed(await self._known.fresh()):
                if loop.time() < skip_at_s:
                    return self._polls.idle_s
                skip_at_s = loop.time() + self._polls.skip_s
                behind = [one for one in dispatchers if not await one.skip()]
            else:
                behind = dispatchers
            if not behind:
                return self._polls.idle_s
            answers = await asyncio.gather(*(one.advance() for one in behind))
            if None in answers:
                lost.set()
            if any(answers):
                self._sender.landed.set()
            if any(one.is_behind for one in behind):
                skip_at_s = loop.time()
                return 0
            return self._polls.read_s

        return dispatch

    async def _send(self, holds: list[Hold]) -> float:
        if not self._sender.in_flight and not is_needed(await self._known.lately()):
            return self._polls.idle_s
        self._sender.landed.clear()
        if not await self._sender.look(holds):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sender.landed.wait(), self._polls.due_s)
        return 0

    def _sweeping(self, holds: list[Hold]) -> Callable[[], Awaitable[float]]:
        loop = asyncio.get_running_loop()
        sweep_at_s, version = loop.time(), -1

        async def sweep() -> float:
            nonlocal sweep_at_s, version
            await self._known.recent()
            if version == self._known.version and loop.time() < sweep_at_s:
                return self._polls.changed_s
            version, sweep_at_s = self._known.version, loop.time() + self._polls.sweep_s
            for hold in holds:
                await self._sweeper.sweep(hold, self._clock_us())
            await self._sweeper.bound(self._clock_us())
            return self._polls.changed_s

        return sweep

    async def _take_over(self, over: asyncio.Event) -> list[Hold]:
        while not over.is_set():
            try:
                partitions = range(self._deliveries.partitions)
                return [await self._deliveries.take_over(partition) for partition in partitions]
            except (LogUnavailable, LogFull) as error:
                self._tell_of(error)
                await pause(over, self._polls.trouble_s)
        return []

    async def _renew(self, over: asyncio.Event, lost: asyncio.Event) -> None:
        while not await pause(over, self._lease_ms / 1_000 / RENEWALS_A_LEASE):
            try:
                if not await self._turns.take(ttl_ms=self._lease_ms):
                    lost.set()
            except LogError as error:
                self._tell_of(error)

    async def _try(self, taking: Awaitable[bool]) -> bool:
        try:
            return await taking
        except LogError as error:
            self._tell_of(error)
            return False

    def _tell_of(self, error: Exception) -> None:
        if (kept_back := self._told.due()) is not None:
            _log.warning("webhooks_wait", error=type(error).__name__, reason=str(error), kept_back=kept_back)


async def pause(over: asyncio.Event, seconds: float) -> bool:
    """True as soon as it is over."""
    if over.is_set():
        return True
    if seconds <= 0:
        await asyncio.sleep(0)
        return over.is_set()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return over.is_set()


async def _set_behind(first: asyncio.Event, second: asyncio.Event) -> None:
    await first.wait()
    second.set()
