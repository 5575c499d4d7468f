"""What must hold for claims: nobody is robbed who gave a sign of life within the lease."""

from collections.abc import Sequence

from events.inbox import RELEASED, Delivery, InboxKey
from events.memory import MemoryLog
from tests.simulation.loop import SimulatedLoop

Holders = dict[tuple[InboxKey, str], str]

ROUNDED_MS = 2
"""The store counts in whole milliseconds, at both ends."""


class Claims:
    """Remembers signs of life; raises AssertionError. Whoever was robbed enters `disturbed`."""

    def __init__(self, loop: SimulatedLoop, log: MemoryLog, disturbed: set[str]) -> None:
        self._loop = loop
        self._log = log
        self._disturbed = disturbed
        self._beats_s: dict[str, float] = {}
        self._seen_s: dict[tuple[str, InboxKey], float] = {}
        self._left: set[str] = set()

    def beat(self, consumer: str) -> None:
        self._left.discard(consumer)
        self._beats_s[consumer] = self._loop.time()

    def seen(self, consumer: str, inboxes: Sequence[InboxKey]) -> None:
        """It asked these inboxes for work: a sign of life there for as long as it has not beaten once."""
        self._seen_s.update(((consumer, key), self._loop.time()) for key in inboxes)

    def left(self, consumer: str) -> None:
        self._left.add(consumer)

    def holders(self, inboxes: Sequence[InboxKey]) -> Holders:
        """Who holds what, before somebody claims."""
        return {
            (key, f"{entry[0]}-{entry[1]}"): holder
            for key in inboxes
            for entry, holder in self._log.store.partitions[key.partition].inbox(key.step, key.lane).pending.items()
        }

    def claimed(self, deliveries: Sequence[Delivery], holders: Holders, silent_ms_min: int) -> None:
        for one in deliveries:
            key = InboxKey(one.partition, one.step, one.lane)
            holder = holders[key, one.entry_id]
            if holder == RELEASED or holder in self._left:
                continue
            last_s = self._beats_s.get(holder, self._seen_s.get((holder, key), 0.0))
            silent_ms = 1_000 * (self._loop.time() - last_s)
            assert silent_ms > silent_ms_min - ROUNDED_MS, f"{holder} was robbed after {silent_ms:.0f} ms of silence"
            self._disturbed.add(holder)
