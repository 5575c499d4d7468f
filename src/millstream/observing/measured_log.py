"""A log whose appends are counted and timed."""

import time
from collections.abc import Sequence

from events.envelope import Envelope, Position
from events.errors import LogError, LogUnavailable
from events.ids import TaskId
from events.inbox import Delivery
from events.log import Appended, Conflict, EventLog, Head, Taken, Tally, Unreadable, Write
from millstream.observing import catalogue
from millstream.observing.registry import Registry


class MeasuredLog:
    """EventLog over another one; everything but `append` is handed on."""

    def __init__(self, log: EventLog, figures: Registry) -> None:
        self._log = log
        self._figures = figures

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        began_s, answered = time.perf_counter(), "unavailable"
        try:
            answer = await self._log.append(writes, acknowledge=acknowledge)
            answered = type(answer).__name__.lower()
        except LogError as error:
            answered = "unavailable" if isinstance(error, LogUnavailable) else "refused"
            raise
        else:
            return answer
        finally:
            self._figures.observe(catalogue.APPEND_SECONDS, time.perf_counter() - began_s)
            self._figures.add(catalogue.APPENDS, 1, answered)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        return await self._log.read(partition, after=after, limit=limit, wait_ms=wait_ms)

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        return await self._log.history(stream_id, after_version=after_version)

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        return await self._log.versions(stream_ids)

    async def tally(self, task_id: TaskId) -> Tally:
        return await self._log.tally(task_id)

    async def head(self, partition: int) -> Head:
        return await self._log.head(partition)
