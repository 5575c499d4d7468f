"""A log in memory with company, and what a test of the shell around the decisions puts into its envelopes."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from domain import commands as c
from domain.handle import Context
from events import ids
from events.envelope import Envelope, Position
from events.ids import EventId, TaskId
from events.inbox import Delivery
from events.log import Appended, Conflict, Head, Taken, Tally, Unreadable, Write
from events.memory import MemoryLog
from events.steps import Step
from tests.facts import TASK_ID, batch, result_of
from tests.strategies import PARTITIONS

START = c.StartStep(step=Step.PARSE, attempt=1, worker="w1")
PARSE: tuple[c.DocumentCommand, ...] = (START, result_of(Step.PARSE))
EVERYTHING_AFTER: tuple[c.DocumentCommand, ...] = (
    *PARSE,
    *(c.StartStep(step=Step.CHUNK, attempt=1, worker="w1"), result_of(Step.CHUNK)),
    *(c.StartStep(step=Step.EMBED, attempt=1, worker="w1"), batch(0, 0, 2), result_of(Step.EMBED)),
    *(c.StartStep(step=Step.INDEX, attempt=1, worker="w1"), result_of(Step.INDEX)),
)
"""From an accepted document to one that can be found."""


class BusyLog:
    """A log on which somebody else is quicker: `meanwhile` happens before each of the first `times` appends.

    It counts what is asked of it.
    """

    def __init__(self, log: MemoryLog, meanwhile: Callable[[], Awaitable[object]], *, times: int) -> None:
        self._log, self._meanwhile, self._times = log, meanwhile, times
        self.appends = 0
        self.histories = 0

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        self.appends += 1
        if self.appends <= self._times:
            await self._meanwhile()
        return await self._log.append(writes, acknowledge=acknowledge)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        return await self._log.read(partition, after=after, limit=limit, wait_ms=wait_ms)

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        self.histories += 1
        return await self._log.history(stream_id, after_version=after_version)

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        return await self._log.versions(stream_ids)

    async def tally(self, task_id: TaskId) -> Tally:
        return await self._log.tally(task_id)

    async def head(self, partition: int) -> Head:
        return await self._log.head(partition)


def new_log() -> MemoryLog:
    """An empty log whose clock moves by a millisecond a look."""
    ticks = count(1_700_000_000_000_000, 1_000)
    return MemoryLog(partitions=PARTITIONS, clock_us=lambda: next(ticks))


def new_context() -> Context:
    """Counted times and ids; the actor is key-1."""
    ticks, numbers = count(1_700_000_000_000_000, 1_000), count(1)
    return Context(
        clock_us=lambda: next(ticks),
        new_event_id=lambda: EventId(ids.uuid7_hex(1, next(numbers).to_bytes(10))),
        correlation_id=TASK_ID,
        causation_id=EventId(ids.uuid7_hex(2, bytes(10))),
        actor="key-1",
        trace_parent="00-trace",
    )
