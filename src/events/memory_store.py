"""What the in-memory log and inbox share: facts, inboxes and timers by partition, and who waits for them."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable

from events.digests import Claims, DigestKey
from events.epochs import EPOCH_FIRST
from events.errors import InvalidId
from events.log import Tally
from events.steps import Lane, Step

EntryId = tuple[int, int]
"""Time (unix ms) and sequence, as in a Redis stream id."""


class Waiters:
    """Whoever waits for news of one kind; all are woken at once. Belongs to one event loop at a time."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Returns when all are woken, or when the time is over."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiter)


class Numbering:
    """Entry ids as a Redis stream gives them: never backwards, even where the clock goes back."""

    def __init__(self) -> None:
        self.last: EntryId = (0, 0)

    def next(self, now_ms: int) -> EntryId:
        ms, sequence = self.last
        self.last = (now_ms, 0) if now_ms > ms else (ms, sequence + 1)
        return self.last


class InboxState:
    """One inbox with its one consumer group."""

    def __init__(self) -> None:
        self.entries: dict[EntryId, bytes] = {}
        self.waiting: dict[EntryId, None] = {}
        self.pending: dict[EntryId, str] = {}
        self.seen_ms: dict[str, int] = {}
        self._numbering = Numbering()

    def enter(self, pointer: bytes, now_ms: int) -> None:
        entry = self._numbering.next(now_ms)
        self.entries[entry] = pointer
        self.waiting[entry] = None

    def remove(self, entry: EntryId) -> None:
        """Once given out, an entry can be acknowledged; before that it is nobody's to take out."""
        if self.pending.pop(entry, None) is not None:
            del self.entries[entry]


class StreamState:
    """One document, task or knowledge base: where its events lie in the partition's log."""

    def __init__(self) -> None:
        self.places: list[int] = []

    @property
    def version(self) -> int:
        return len(self.places)


class LogEntry:
    """One entry of a partition's log; its number is its place + 1."""

    __slots__ = ("entry_id", "payload")

    def __init__(self, entry_id: EntryId, payload: bytes) -> None:
        self.entry_id = entry_id
        self.payload = payload


class PartitionState:
    """Everything that one partition holds."""

    def __init__(self) -> None:
        self.epoch = EPOCH_FIRST
        self.log: list[LogEntry] = []
        self.numbering = Numbering()
        self.streams: dict[str, StreamState] = {}
        self.tallies: dict[str, Tally] = {}
        self.inboxes: dict[tuple[Step, Lane], InboxState] = {}
        self.due: dict[bytes, int] = {}
        self.dead: dict[str, int] = {}
        self.digests: dict[DigestKey, Claims] = {}
        self.trimmed = 0
        """How many entries, from the first, are no longer in the log; their places stay taken."""

    def trimmed_versions(self, stream: StreamState) -> int:
        """How many of a stream's events are no longer in the log."""
        return bisect_left(stream.places, self.trimmed)

    def inbox(self, step: Step, lane: Lane) -> InboxState:
        return self.inboxes.setdefault((step, lane), InboxState())


class MemoryStore:
    """The partitions, the heartbeats and the waiters (for facts, for pointers) of one installation in memory."""

    def __init__(self, partitions: int, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self.partitions = [PartitionState() for _ in range(partitions)]
        self.beats_ms: dict[str, int] = {}
        self.left: set[str] = set()
        self.appended = Waiters()
        self.arrived = Waiters()

    def partition(self, partition: int) -> PartitionState:
        """Raises InvalidId."""
        if not 0 <= partition < len(self.partitions):
            raise InvalidId(f"there is no partition {partition}, there are {len(self.partitions)}")
        return self.partitions[partition]

    def now_ms(self) -> int:
        return self._clock_us() // 1_000
