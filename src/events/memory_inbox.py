"""The inboxes in memory, over the same store as the log in memory: the reference semantics."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice

from events.envelope import Envelope
from events.errors import LogError
from events.ids import StreamKind, kind_of
from events.inbox import RELEASED, Delivery, Handed, InboxDepth, InboxKey
from events.memory import MemoryLog, parse_entry_id
from events.memory_store import EntryId, InboxState
from events.pointer import delivery_of, inbox_of_timer


class MemoryInbox:
    """Inbox over the store of a MemoryLog; time is that log's server clock."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._store = log.store

    async def take(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        while True:
            found = self._sweep(inboxes, consumer, count)
            rest_s = deadline - loop.time()
            if found or rest_s <= 0:
                return found
            await self._store.arrived.wait(rest_s)

    async def take_with_histories(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0
    ) -> list[Handed]:
        taken = await self.take(inboxes, consumer=consumer, count=count, wait_ms=wait_ms)
        return [Handed(one, await self._history_of(one.stream_id)) for one in taken]

    async def mine(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int) -> list[Delivery]:
        return [
            _delivery(key, inbox, entry)
            for key, inbox in self._seen(inboxes, consumer)
            for entry in _held(inbox, consumer)
        ][:count]

    async def acknowledge(self, delivery: Delivery) -> None:
        self._inbox_of(delivery).remove(parse_entry_id(delivery.entry_id))

    async def release(self, delivery: Delivery, *, consumer: str) -> None:
        inbox, entry = self._inbox_of(delivery), parse_entry_id(delivery.entry_id)
        if inbox.pending.get(entry) == consumer:
            inbox.pending[entry] = RELEASED

    async def beat(self, consumer: str) -> None:
        self._store.beats_ms[consumer] = self._store.now_ms()
        self._store.left.discard(consumer)

    async def leave(self, consumer: str) -> None:
        self._store.left.add(consumer)

    async def claim_from_dead(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, silent_ms_min: int
    ) -> list[Delivery]:
        claimed: list[Delivery] = []
        for key in inboxes:
            inbox = self._store.partitions[key.partition].inbox(key.step, key.lane)
            for holder in sorted(set(inbox.pending.values()) - {consumer}):
                if not self._is_dead(holder, inbox, silent_ms_min):
                    continue
                for entry in _held(inbox, holder)[: count - len(claimed)]:
                    inbox.pending[entry] = consumer
                    inbox.seen_ms[consumer] = self._store.now_ms()
                    claimed.append(_delivery(key, inbox, entry))
        return claimed

    async def due(self) -> list[int]:
        now_ms = self._store.now_ms()
        return [
            partition
            for partition, state in enumerate(self._store.partitions)
            if any(at_ms <= now_ms for at_ms in state.due.values())
        ]

    async def move_due(self, partition: int, *, limit: int = 100) -> int:
        state, now_ms = self._store.partitions[partition], self._store.now_ms()
        ripe = sorted((at_ms, timer) for timer, at_ms in state.due.items() if at_ms <= now_ms)[:limit]
        for _, timer in ripe:
            del state.due[timer]
            state.inbox(*inbox_of_timer(timer)).enter(timer[1:], now_ms)
        if ripe:
            self._store.arrived.wake()
        return len(ripe)

    async def depth(self, inbox: InboxKey) -> InboxDepth:
        state = self._store.partitions[inbox.partition].inbox(inbox.step, inbox.lane)
        return InboxDepth(waiting=len(state.waiting), pending=len(state.pending))

    async def depths(self, inboxes: Sequence[InboxKey]) -> list[InboxDepth]:
        return [await self.depth(inbox) for inbox in inboxes]

    async def holds(self, inbox: InboxKey, entry_id: str) -> bool:
        state = self._store.partitions[inbox.partition].inbox(inbox.step, inbox.lane)
        return parse_entry_id(entry_id) in state.entries

    async def backlog(self) -> int:
        inboxes = (inbox for one in self._store.partitions for inbox in one.inboxes.values())
        return sum(len(inbox.waiting) + len(inbox.pending) for inbox in inboxes)

    async def _history_of(self, stream_id: str) -> list[Envelope] | None:
        if kind_of(stream_id) is not StreamKind.DOCUMENT:
            return None
        try:
            return await self._log.history(stream_id) or None
        except LogError:
            return None

    def _sweep(self, inboxes: Sequence[InboxKey], consumer: str, count: int) -> list[Delivery]:
        taken: list[Delivery] = []
        for key, inbox in self._seen(inboxes, consumer):
            for entry in list(islice(inbox.waiting, count - len(taken))):
                del inbox.waiting[entry]
                inbox.pending[entry] = consumer
                taken.append(_delivery(key, inbox, entry))
        return taken

    def _seen(self, inboxes: Sequence[InboxKey], consumer: str) -> Iterator[tuple[InboxKey, InboxState]]:
        for key in inboxes:
            inbox = self._store.partitions[key.partition].inbox(key.step, key.lane)
            inbox.seen_ms[consumer] = self._store.now_ms()
            yield key, inbox

    def _inbox_of(self, delivery: Delivery) -> InboxState:
        return self._store.partitions[delivery.partition].inbox(delivery.step, delivery.lane)

    def _is_dead(self, holder: str, inbox: InboxState, silent_ms_min: int) -> bool:
        """Whoever never beat is judged by when it last asked this inbox for work."""
        if holder == RELEASED or holder in self._store.left:
            return True
        last_ms = self._store.beats_ms.get(holder, inbox.seen_ms.get(holder, 0))
        return self._store.now_ms() - last_ms > silent_ms_min


def _held(inbox: InboxState, consumer: str) -> list[EntryId]:
    return sorted(entry for entry, holder in inbox.pending.items() if holder == consumer)


def _delivery(key: InboxKey, inbox: InboxState, entry: EntryId) -> Delivery:
    return delivery_of(key, f"{entry[0]}-{entry[1]}", inbox.entries[entry])
