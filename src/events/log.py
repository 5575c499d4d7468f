"""The log: facts appended once, in order, never changed."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from events.digests import DigestChange, DigestClaim
from events.envelope import Envelope, Position
from events.ids import KnowledgeBaseId, TaskId
from events.inbox import Delivery
from events.steps import Lane

EVENTS_PER_APPEND_MAX = 4_096
"""An upload of 1,000 files needs 1,001; more would hold the server's only thread for longer than 20 ms."""

EVENT_BYTES_MAX = 65_536
"""Events hold references and facts, never text or vectors."""

EVENTS_PER_STREAM_MAX = 100_000
"""A history is read whole; a stream that needs more is a mistake of ours, refused rather than slowly drowned in."""


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many of a task's documents are where; `open_documents` have not ended yet."""

    open_documents: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.open_documents + other.open_documents,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            self.skipped + other.skipped,
        )


class TallyChange(msgspec.Struct, frozen=True, gc=False):
    """A difference that is added to a task's tally within the append that causes it."""

    task_id: TaskId
    change: Tally


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Events for the end of one stream, with the version that the writer saw (0: the stream must not exist).

    `knowledge_base_id` and `lane` go with the pointers that follow from the events. Envelopes carry versions
    `expected_version + 1 …` and no position. Without any the stream is only compared: the others enter the log as long
    as it has not changed.

    `digests` are the changes to what this document claims in its knowledge base, in order. `claims` name who has to
    hold a digest before the append for the decision to stand; where that is somebody else the answer is Taken. Whoever
    hands commands to `domain.handle` sets neither: they follow from the decider.
    """

    stream_id: str
    expected_version: int
    envelopes: tuple[Envelope, ...]
    knowledge_base_id: KnowledgeBaseId
    lane: Lane = Lane.INTERACTIVE
    tally: tuple[TallyChange, ...] = ()
    digests: tuple[DigestChange, ...] = ()
    claims: tuple[DigestClaim, ...] = ()


class Appended(msgspec.Struct, frozen=True):
    """All events are in the log. `positions` follows the order of the writes and their envelopes.

    `is_repeat`: an earlier call with the same event ids had put them there; nothing was written now.
    """

    positions: tuple[Position, ...]
    is_repeat: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """Nothing was written: the stream stands at another version than the writer saw."""

    stream_id: str
    actual_version: int


class Taken(msgspec.Struct, frozen=True):
    """Nothing was written: the digests are held by others than the writer thought; these by those."""

    claims: tuple[DigestClaim, ...]


class Unreadable(msgspec.Struct, frozen=True):
    """An entry of the log that is no envelope: to be parked and counted, never to stop a reader."""

    position: Position
    number: int
    payload: bytes
    reason: str


class Head(msgspec.Struct, frozen=True):
    """The end of a partition's log. `number` counts its events from 1; 0 and None: it is empty."""

    epoch: int
    number: int
    position: Position | None


class EventLog(Protocol):
    """Raises LogUnavailable, LogFull and InvalidAppend from every call."""

    @property
    def partitions(self) -> int:
        """How many partitions there are; fixed at first start."""
        ...

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        """Appends the events of one or several streams of one partition, together or not at all.

        In the same step: pointers into inboxes, timers, dead letters, tallies and digest claims follow, and
        `acknowledge` is taken from its consumer's pending entries. Repeating the call (same event ids) answers as the
        first time, whatever became of streams that were only compared and of digests. Taken is answered only where the
        versions are as expected. Neither Conflict nor Taken acknowledges anything.
        """
        ...

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        """The next events behind a position, in the order of the log; waits up to `wait_ms` for the first.

        Positions are compared by their entry ids; whether the epoch is still the same, the reader asks of `head`.
        """
        ...

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        """A stream's events in order, empty for a stream that does not exist.

        Raises CorruptEvent, VersionGap, and HistoryArchived where the front is no longer in the log.
        """
        ...

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        """Where each stream stands, in the order asked for; 0 for one that does not exist. One round trip for all."""
        ...

    async def tally(self, task_id: TaskId) -> Tally:
        """A task's tally; all zero for a task that does not exist or has finished."""
        ...

    async def head(self, partition: int) -> Head:
        """Where the partition's log ends."""
        ...
