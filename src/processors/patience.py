"""An EventLog that repeats the identical call while the log does not answer.

The work is done; only its reporting is repeated. The same envelopes with the same event ids go out each time, so a
reply that was lost costs nothing: the log recognises the repeat. A call ends by success or by cancellation (drain).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from events.envelope import Envelope, Position
from events.errors import LogError, LogFull, LogUnavailable
from events.ids import TaskId
from events.inbox import Delivery
from events.log import Appended, Conflict, EventLog, Head, Taken, Tally, Unreadable, Write
from events.seldom import Seldom
from processors.retry import RetryPolicy, after_outage

T = TypeVar("T")

PATIENCE = RetryPolicy(base_s=0.1, cap_s=2.0)
"""Reconnect within 3 s of the log being ready again, and at most some calls a second from each attempt until then."""


class Patience:
    """Repeats a call until it is answered. `random` answers floats in [0, 1)."""

    def __init__(self, *, random: Callable[[], float], policy: RetryPolicy = PATIENCE) -> None:
        self._random = random
        self._policy = policy
        self._told = Seldom()

    async def __call__(self, call: Callable[[], Awaitable[T]], *, tries: int = 0) -> T:
        """What the call answers; it was tried so often before. Raises what it raises besides LogUnavailable and
        LogFull."""
        while True:
            try:
                return await call()
            except (LogUnavailable, LogFull) as error:
                tries += 1
                refusal = error
            await self.after(refusal, tries)

    async def after(self, error: LogError, tries: int) -> None:
        """The pause behind so many tries, the last of which ended so."""
        delay_s = after_outage(self._policy, tries, None, self._random())
        # Every attempt in hand waits here: one line for all of them.
        if (kept_back := self._told.due()) is not None:
            structlog.get_logger().warning("log_call_repeated", reason=str(error), tries=tries, kept_back=kept_back)
        await asyncio.sleep(delay_s)


class PatientLog:
    """EventLog around another one. `random` answers floats in [0, 1)."""

    def __init__(self, log: EventLog, *, random: Callable[[], float], policy: RetryPolicy = PATIENCE) -> None:
        self._log = log
        self._patiently = Patience(random=random, policy=policy)

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        try:  # every step comes by here twice: what is answered at once is not wrapped
            return await self._log.append(writes, acknowledge=acknowledge)
        except (LogUnavailable, LogFull) as error:
            await self._patiently.after(error, 1)
        return await self._patiently(lambda: self._log.append(writes, acknowledge=acknowledge), tries=1)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        return await self._patiently(lambda: self._log.read(partition, after=after, limit=limit, wait_ms=wait_ms))

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        return await self._patiently(lambda: self._log.history(stream_id, after_version=after_version))

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        return await self._patiently(lambda: self._log.versions(stream_ids))

    async def tally(self, task_id: TaskId) -> Tally:
        return await self._patiently(lambda: self._log.tally(task_id))

    async def head(self, partition: int) -> Head:
        return await self._patiently(lambda: self._log.head(partition))
