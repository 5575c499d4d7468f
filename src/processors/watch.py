"""Learns that nobody waits any more for an attempt under way, and stops it.

A document may be cancelled, removed or taken over while a worker is at it. Every look asks where the running documents
stand, all in one call, and reads the history of those alone that moved without their attempt: it costs the same
however many facts the log takes in, where following the log would cost each worker as much as the projector.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

import structlog

from domain.deciders import DOCUMENT
from domain.document import DocumentState
from domain.errors import ImpossibleEvent
from domain.handle import load
from events.errors import LogError, NewerFacts
from events.log import EventLog
from events.seldom import Seldom
from processors.waiting import pause


class Watched(Protocol):
    """An attempt as far as it matters here."""

    @property
    def document_id(self) -> str: ...

    @property
    def known_version(self) -> int:
        """Where the document's stream stood when the attempt appended to it or read it last."""
        ...

    def is_wanted(self, now: DocumentState) -> bool:
        """Whether its result would still count."""
        ...


class Watching:
    """While inside, `timer` ends the body as soon as nobody wants the attempt; `is_unwanted` tells that from its own
    end."""

    def __init__(self, running: dict[Watched, "Watching"], attempt: Watched, timer: asyncio.Timeout) -> None:
        self._running = running
        self._attempt = attempt
        self._timer = timer
        self.is_unwanted = False

    def __enter__(self) -> Self:
        self._running[self._attempt] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._running[self._attempt]

    def stop(self) -> None:
        """Nobody wants it."""
        self.is_unwanted = True
        if not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time())


async def _nobody(_document_id: str) -> None:
    """Nobody is told."""


class Watch:
    """The attempts that run in this worker. Belongs to one event loop.

    `moved` is told of a document that others have brought on while the attempt is still wanted, at every look until
    the attempt knows; it raises what the log raises.
    """

    def __init__(self, moved: Callable[[str], Awaitable[None]] = _nobody) -> None:
        self._moved = moved
        self._running: dict[Watched, Watching] = {}

    def over(self, attempt: Watched, timer: asyncio.Timeout) -> Watching:
        """To be entered within `timer`, which ends what nobody wants as it ends what takes too long: one for both."""
        return Watching(self._running, attempt, timer)

    async def look(self, log: EventLog) -> None:
        """Stops every attempt that lost its document. Raises what the log raises."""
        running = list(self._running)
        if not running:
            return
        versions = await log.versions([attempt.document_id for attempt in running])
        for attempt, version in zip(running, versions, strict=True):
            if version != attempt.known_version:
                await self._look_at(log, attempt)

    async def _look_at(self, log: EventLog, attempt: Watched) -> None:
        now: DocumentState | None
        try:
            now = (await load(log, DOCUMENT, attempt.document_id)).state
        except NewerFacts:
            now = None  # a newer program has taken the document on
        watching = self._running.get(attempt)  # it may have ended while the history was read
        if watching is None or watching.is_unwanted:
            return
        if now is not None and attempt.is_wanted(now):
            await self._moved(attempt.document_id)
            return
        structlog.get_logger().info("attempt_stopped", document=attempt.document_id, state=type(now).__name__)
        watching.stop()


async def look_until(ended: asyncio.Event, watch: Watch, log: EventLog, *, interval_s: float) -> None:
    """Looks every `interval_s` until `ended`, through the drain too."""
    told = Seldom()
    while not await pause(ended, interval_s):
        try:
            await watch.look(log)
        except (LogError, ImpossibleEvent) as error:
            if (kept_back := told.due()) is not None:  # the next look asks again
                structlog.get_logger().warning("watch_blind", error=type(error).__name__, kept_back=kept_back)
