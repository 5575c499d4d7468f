"""Views that an older program kept are folded anew by the first newer one.

A projector passes over facts from the future and counts them, so that it never stops; while programs of two versions
run side by side, it may be the older one that does so. What it passed over is missing from its rows for good. Whoever
can read some of it rebuilds the views beside the live ones and swaps.
"""

import asyncio
from typing import Final

import structlog

from events.envelope import Envelope, UnknownEvent
from events.errors import LogError
from events.log import EventLog
from projections.errors import RebuildRefused
from projections.projector import PAGE_EVENTS
from projections.replay import rebuild
from projections.views import Checkpoint, ViewStore

INTERVAL_S: Final = 30.0
"""How often the counts are looked at. Only where one has changed is the log read again."""

_log = structlog.get_logger(__name__)


class Healer:
    """Looks after the partitions of one installation; any number of processes may."""

    def __init__(self, event_log: EventLog, views: ViewStore, *, holder: str) -> None:
        self._log = event_log
        self._views = views
        self._holder = holder
        self._looked_at: dict[int, tuple[int, int]] = {}

    async def run(self, stop: asyncio.Event, *, interval_s: float = INTERVAL_S) -> None:
        """Until told to stop; what fails is tried again at the next turn."""
        while not stop.is_set():
            for partition in range(self._log.partitions):
                try:
                    await self.heal(partition)
                except (LogError, RebuildRefused) as error:
                    _log.warning("views_not_healed", partition=partition, reason=str(error))
                if stop.is_set():
                    return
            try:
                await asyncio.wait_for(stop.wait(), interval_s)
            except TimeoutError:
                continue

    async def heal(self, partition: int) -> bool:
        """Rebuilds where this program reads more than went into the live views; answers whether it did."""
        live = await self._views.live_generation(partition)
        checkpoint = await self._views.checkpoint(partition, live)
        seen = (live, checkpoint.unknown)
        if checkpoint.unknown == 0 or self._looked_at.get(partition) == seen:
            return False
        if await self._unknown_until(partition, checkpoint) < checkpoint.unknown:
            rebuilt = await rebuild(self._log, self._views, partition, holder=self._holder)
            _log.info("views_healed", partition=partition, generation=rebuilt.after, passed_over=checkpoint.unknown)
            seen = (rebuilt.after, rebuilt.checkpoint.unknown)
        self._looked_at[partition] = seen
        return seen[0] != live

    async def _unknown_until(self, partition: int, end: Checkpoint) -> int:
        """How many facts up to the checkpoint this program cannot read."""
        unknown, number, after = 0, 0, None
        while number < end.number:
            page = await self._log.read(partition, after=after, limit=min(PAGE_EVENTS, end.number - number))
            if not page:
                break
            unknown += sum(isinstance(one, Envelope) and isinstance(one.event, UnknownEvent) for one in page)
            after, number = page[-1].position, page[-1].number or number + len(page)
        return unknown
