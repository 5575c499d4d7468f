"""Log and inbox in memory as a process sees them through its wire. Each effect is shown to the checks at once."""

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from events.envelope import Envelope, Position
from events.errors import LogFull, LogUnavailable
from events.ids import TaskId
from events.inbox import Delivery, Handed, InboxDepth, InboxKey
from events.log import Appended, Conflict, Head, Taken, Tally, Unreadable, Write
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from tests.simulation.checks import Checks
from tests.simulation.wire import Store, Wire

T = TypeVar("T")


def _away() -> Exception:
    return LogUnavailable("the simulated log does not answer")


def _full() -> Exception:
    return LogFull("the simulated log is full")


class SimulatedLog:
    """EventLog."""

    def __init__(self, wire: Wire, log: MemoryLog, checks: Checks) -> None:
        self._wire = wire
        self._log = log
        self._checks = checks

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        async def effect() -> Appended | Conflict | Taken:
            done = await self._log.append(writes, acknowledge=acknowledge)
            if isinstance(done, Appended):
                self._checks.appended(self._wire.process.name, () if done.is_repeat else writes, acknowledge)
            return done

        return await self._wire.call(Store.LOG, effect, _away, full=_full)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        loop = self._wire.loop
        deadline = loop.time() + wait_ms / 1_000
        while True:
            page = await self._wire.call(Store.LOG, lambda: self._log.read(partition, after=after, limit=limit), _away)
            if page or loop.time() >= deadline:
                return page
            # The server holds the request until the partition has something behind `after`.
            while not self._is_behind(partition, after) and loop.time() < deadline:
                await self._log.store.appended.wait(deadline - loop.time())

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        return await self._wire.call(
            Store.LOG, lambda: self._log.history(stream_id, after_version=after_version), _away
        )

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        return await self._wire.call(Store.LOG, lambda: self._log.versions(stream_ids), _away)

    async def tally(self, task_id: TaskId) -> Tally:
        return await self._wire.call(Store.LOG, lambda: self._log.tally(task_id), _away)

    async def head(self, partition: int) -> Head:
        return await self._wire.call(Store.LOG, lambda: self._log.head(partition), _away)

    def _is_behind(self, partition: int, after: Position | None) -> bool:
        log = self._log.store.partition(partition).log
        return bool(log) and (after is None or log[-1].entry_id > (after.ms, after.sequence))


class SimulatedInbox:
    """Inbox."""

    def __init__(self, wire: Wire, log: MemoryLog, inbox: MemoryInbox, checks: Checks) -> None:
        self._wire = wire
        self._store = log.store
        self._inbox = inbox
        self._checks = checks

    async def take(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0) -> list[Delivery]:
        taken = await self.take_with_histories(inboxes, consumer=consumer, count=count, wait_ms=wait_ms)
        return [one.delivery for one in taken]

    async def take_with_histories(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0
    ) -> list[Handed]:
        async def effect() -> list[Handed]:
            self._checks.claims.seen(consumer, inboxes)
            return await self._inbox.take_with_histories(inboxes, consumer=consumer, count=count)

        loop = self._wire.loop
        deadline = loop.time() + wait_ms / 1_000
        while True:
            taken = await self._call(effect)
            if taken or loop.time() >= deadline:
                return taken
            while not self._is_waiting(inboxes) and loop.time() < deadline:
                await self._store.arrived.wait(deadline - loop.time())

    async def mine(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int) -> list[Delivery]:
        return await self._call(lambda: self._inbox.mine(inboxes, consumer=consumer, count=count))

    async def acknowledge(self, delivery: Delivery) -> None:
        async def effect() -> None:
            await self._inbox.acknowledge(delivery)
            self._checks.acknowledged(delivery)

        await self._call(effect)

    async def release(self, delivery: Delivery, *, consumer: str) -> None:
        await self._call(lambda: self._inbox.release(delivery, consumer=consumer))

    async def beat(self, consumer: str) -> None:
        async def effect() -> None:
            await self._inbox.beat(consumer)
            self._checks.claims.beat(consumer)

        await self._call(effect)

    async def leave(self, consumer: str) -> None:
        async def effect() -> None:
            await self._inbox.leave(consumer)
            self._checks.claims.left(consumer)

        await self._call(effect)

    async def claim_from_dead(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, silent_ms_min: int
    ) -> list[Delivery]:
        async def effect() -> list[Delivery]:
            holders = self._checks.claims.holders(inboxes)
            claimed = await self._inbox.claim_from_dead(
                inboxes, consumer=consumer, count=count, silent_ms_min=silent_ms_min
            )
            self._checks.claims.claimed(claimed, holders, silent_ms_min)
            return claimed

        return await self._call(effect)

    async def due(self) -> list[int]:
        return await self._call(self._inbox.due)

    async def move_due(self, partition: int, *, limit: int = 100) -> int:
        return await self._call(lambda: self._inbox.move_due(partition, limit=limit))

    async def depths(self, inboxes: Sequence[InboxKey]) -> list[InboxDepth]:
        return [await self.depth(inbox) for inbox in inboxes]

    async def depth(self, inbox: InboxKey) -> InboxDepth:
        return await self._call(lambda: self._inbox.depth(inbox))

    async def holds(self, inbox: InboxKey, entry_id: str) -> bool:
        return await self._call(lambda: self._inbox.holds(inbox, entry_id))

    async def backlog(self) -> int:
        return await self._call(self._inbox.backlog)

    async def _call(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await self._wire.call(Store.LOG, effect, _away)

    def _is_waiting(self, inboxes: Collection[InboxKey]) -> bool:
        partitions = self._store.partitions
        found = (partitions[key.partition].inboxes.get((key.step, key.lane)) for key in inboxes)
        return any(inbox is not None and inbox.waiting for inbox in found)
