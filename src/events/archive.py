"""The archive beside the log: which segments there are, how far they reach, and what of the log may go.

A store of this kind keeps marks and a manifest; the segments' bytes are blobs, and are read before they are believed.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from events.envelope import Position
from events.log import Head

DIGEST_OF_NOTHING: Final = "0" * 64
"""What the first segment of a partition has for the digest of the one before."""

NUMBER_DIGITS: Final = 16


class SegmentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the manifest. `digest` is the SHA-256 of the segment's header, which names those of its blocks."""

    key: str
    first_number: int
    last_number: int
    first: Position
    last: Position
    size_bytes: int
    digest: str
    previous: str

    @property
    def count(self) -> int:
        return self.last_number - self.first_number + 1


class Mark(msgspec.Struct, frozen=True):
    """How far a partition is archived: the last event of its last segment, and that segment's digest."""

    number: int = 0
    position: Position | None = None
    digest: str = DIGEST_OF_NOTHING


class ArchiveState(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a partition; time is the store's. `trimmed_number`: the last event that the archive alone has;
    `asked_number`: up to here somebody asked for it to be archived at once."""

    mark: Mark
    trimmed_number: int
    head: Head
    now_ms: int
    asked_number: int = 0


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """When a whole partition of the archive was read last (the store's clock), up to which event, and what of it was
    not as it was written: `damages` of them."""

    at_ms: int
    segments: int
    last_number: int
    damages: int


class LogEntry(msgspec.Struct, frozen=True):
    """An entry as the log holds it."""

    position: Position
    number: int
    payload: bytes


class StreamVersion(msgspec.Struct, frozen=True):
    """Names an event by its place in its stream."""

    stream_id: str
    version: int


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What may be trimmed: events up to `number` that lie before `before`; `held_by` says what stands in the way."""

    number: int
    before: Position
    held_by: str


class ArchiveStore(Protocol):
    """Raises LogUnavailable and LogFull from every call."""

    @property
    def partitions(self) -> int: ...

    async def installation(self) -> str:
        """Whose archive this is."""
        ...

    async def hold(self, partition: int, *, holder: str, lease_ms: int) -> bool:
        """Takes or renews the right to archive the partition; False where somebody else has it. Time is the store's."""
        ...

    async def let_go(self, partition: int, *, holder: str) -> None:
        """Gives the right up, if it is held."""
        ...

    async def state(self, partition: int) -> ArchiveState:
        """Marks, the end of the log and the store's clock, as of one moment."""
        ...

    async def entries(self, partition: int, *, after: Position | None, limit: int) -> list[LogEntry]:
        """The next entries that are in the log, as bytes. Trimmed ones are simply not there."""
        ...

    async def positions(self, events: Sequence[StreamVersion]) -> list[Position | None]:
        """Where events of one partition lie, if they are in the log or the last of their stream that left it; else
        None."""
        ...

    async def segments(self, partition: int) -> list[SegmentEntry]:
        """The manifest, by first number."""
        ...

    async def advance(self, partition: int, before: Mark, segment: SegmentEntry) -> bool:
        """Adds a line to the manifest and moves the mark behind it; False and nothing where the mark is another.

        Repeating a call that took effect answers True.
        """
        ...

    async def ask(self, partition: int) -> ArchiveState:
        """Whatever is in the log now is due at once; answers the moment at which that was said."""
        ...

    async def note(self, partition: int, found: Verification) -> None:
        """Keeps what verifying found, in place of what it found before."""
        ...

    async def verified(self, partition: int) -> Verification | None:
        """What was noted last; None: nothing since this store began."""
        ...

    async def floor(self, partition: int, *, retention_ms: int) -> Floor:
        """What may go: archived, in the live views (and those being built), older than `retention_ms`, and not
        waiting in an inbox."""
        ...

    async def trim(self, partition: int, floor: Floor, *, limit: int) -> int:
        """Takes up to `limit` entries under the floor out of the log and answers how many; 0: nothing is left to do.

        Histories are shortened in the same step. Refuses what is not archived or not in the live views, whatever the
        floor says. Raises ArchiveRefused where log and histories do not agree.
        """
        ...


def segment_key(tag: str, first_number: int, last_number: int) -> str:
    """The blob of a segment; keys sort as their events do."""
    return f"{segments_prefix(tag)}{first_number:0{NUMBER_DIGITS}d}_{last_number:0{NUMBER_DIGITS}d}.seg"


def segments_prefix(tag: str) -> str:
    """What the keys of a partition's segments begin with."""
    return f"archive/{tag}/"
