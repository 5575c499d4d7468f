"""How far the views are behind the log: what a status does not show yet.

Asked of the store at most four times a second and partition, however many answers tell it: asked each time it would
double what a status costs.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from events.log import EventLog
from projections.on_demand import gathered
from projections.views import ViewStore

KEPT_S: Final = 0.25


class Lag(msgspec.Struct, frozen=True):
    """The views show the partition's events up to number `as_of`; `events` more are in the log."""

    as_of: int
    events: int


class Freshness:
    """One a process. Raises LogUnavailable from every call."""

    def __init__(self, event_log: EventLog, views: ViewStore, *, kept_s: float = KEPT_S) -> None:
        self._log = event_log
        self._views = views
        self._kept_s = kept_s
        self._asked: dict[int, tuple[float, asyncio.Task[Lag]]] = {}

    @property
    def partitions(self) -> int:
        return self._views.partitions

    async def lag(self, partition: int) -> Lag:
        """As it was at most `kept_s` ago."""
        now_s = asyncio.get_running_loop().time()
        asked = self._asked.get(partition)
        if asked is None or now_s - asked[0] > self._kept_s or _has_failed(asked[1]):
            asked = self._asked[partition] = now_s, asyncio.create_task(self.ask(partition))
            asked[1].add_done_callback(_has_failed)
        # Whoever goes away does not take the answer from those who wait for it too.
        return await asyncio.shield(asked[1])

    async def lags(self, partitions: Sequence[int]) -> list[Lag]:
        return await gathered(partitions, self.lag)

    async def ask(self, partition: int) -> Lag:
        """As it is now. The views are asked first, so that they never seem to be ahead of the log."""
        checkpoint = await self._views.checkpoint(partition)
        head = await self._log.head(partition)
        return Lag(checkpoint.number, max(head.number - checkpoint.number, 0))


def _has_failed(task: asyncio.Task[Lag]) -> bool:
    """Looks at the exception, too: where everybody who asked has gone, nobody else does."""
    return task.done() and (task.cancelled() or task.exception() is not None)
