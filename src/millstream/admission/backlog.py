"""How much waits to be worked on, looked at once a second, and how long whoever is refused should stay away."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

import msgspec
import structlog

from events.errors import LogError
from events.inbox import Inbox
from events.seldom import Seldom
from ingest.problems import ProblemCode, Rejected

LOOK_S: Final = 1.0
SAMPLES_MAX: Final = 60
"""A minute of looks: the rate is that of the last minute."""

RETRY_S_UNKNOWN: Final = 30
RETRY_S_MAX: Final = 600

_log = structlog.get_logger()


class Sample(msgspec.Struct, frozen=True):
    """What waited at a time (monotonic seconds)."""

    at_s: float
    waiting: int


def retry_after_s(samples: Sequence[Sample], waiting_max: int) -> int:
    """Until what waits is below the limit, at the rate at which it has been worked off since its peak.

    While it grows, or stands still, nobody knows: half a minute.
    """
    if not samples:
        return RETRY_S_UNKNOWN
    peak, last = max(samples, key=lambda one: (one.waiting, one.at_s)), samples[-1]
    drained, within_s = peak.waiting - last.waiting, last.at_s - peak.at_s
    if drained <= 0 or within_s <= 0:
        return RETRY_S_UNKNOWN
    return max(1, min(RETRY_S_MAX, ceil((last.waiting - waiting_max) * within_s / drained)))


class Backlog:
    """Of one API process; `waiting_max` 0 is no limit, and then nobody looks."""

    def __init__(self, inbox: Inbox, *, waiting_max: int, clock_s: Callable[[], float]) -> None:
        self._inbox = inbox
        self._waiting_max = waiting_max
        self._clock_s = clock_s
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    def check(self) -> None:
        """Raises Rejected where too much waits."""
        if not self._samples or self._waiting_max == 0:
            return
        waiting = self._samples[-1].waiting
        if waiting > self._waiting_max:
            detail = (
                f"{waiting:,} documents wait to be worked on; nothing more is accepted above {self._waiting_max:,}."
            )
            wait_s = retry_after_s(self._samples, self._waiting_max)
            raise Rejected(ProblemCode.BACKLOG_FULL, detail, retry_after_s=wait_s)

    async def look(self) -> None:
        """Raises LogUnavailable."""
        self._samples.append(Sample(self._clock_s(), await self._inbox.backlog()))

    async def follow(self, stop: asyncio.Event) -> None:
        """Looks until `stop`; what cannot be seen stays as it was."""
        told = Seldom(10.0)
        while self._waiting_max and not stop.is_set():
            try:
                await self.look()
            except LogError as error:
                if (kept_back := told.due()) is not None:
                    _log.warning("backlog_not_seen", error=type(error).__name__, kept_back=kept_back)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue
