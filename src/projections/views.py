"""The views: rows and lists of one generation a partition, committed together with the checkpoint they stand at.

Readers name no generation: each call answers from the live one alone, never from a mixture. The projector and rebuilds
name theirs, and hold a lease on its checkpoint; a commit compares checkpoint and fencing token, so that two of them can
only ever cost time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from events.envelope import Position
from projections.feed import Change
from projections.projection import RowKey, Table

GENERATION_FIRST: Final = 1

PAGE_ROWS_MAX: Final = 1_000
"""Rows a page of a list: about 1 ms of server time."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a generation's views have come; `number` is the dense number of the event at `position`.

    The counts tell of events that were passed over: entries that are no envelope, facts from the future, events that
    could not follow what their stream held before. The views hold no task that finished before `retired_before_us`.
    """

    position: Position | None = None
    number: int = 0
    unreadable: int = 0
    unknown: int = 0
    refused: int = 0
    retired_before_us: int = 0

    def is_behind(self, other: "Checkpoint") -> bool:
        """By their entries: a foreign one has no number."""
        return _entry(self.position) < _entry(other.position)

    def is_at(self, other: "Checkpoint") -> bool:
        """At the same entry, in whichever epoch it was read."""
        return _entry(self.position) == _entry(other.position)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write a generation's views until somebody else gets a higher token.

    `is_by_older`: a release that knows less of how lists lie wrote to them since, so that long ones are not right.
    """

    partition: int
    generation: int
    token: int
    checkpoint: Checkpoint
    is_by_older: bool = False


class LeaseHeld(msgspec.Struct, frozen=True):
    """Somebody else writes; the lease ends in `left_ms` unless it is renewed."""

    left_ms: int


class NotLive(msgspec.Struct, frozen=True):
    """The generation is not the one that the purpose needs; `live` is the one that readers see."""

    live: int


class IndexChange(msgspec.Struct, frozen=True):
    """Members that leave and enter one list; all that a list ever has are made by `member` of one kind of id."""

    index: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one page of the log, or a sweep, leads to: rows written and rows removed.

    `changes` are announced in the feed; a rebuild announces nothing.
    """

    lease: Lease
    checkpoint: Checkpoint
    rows: Mapping[RowKey, bytes]
    indexes: Sequence[IndexChange]
    removed: Sequence[RowKey] = ()
    changes: Sequence[Change] = ()
    lease_ms: int


class IndexedRow(msgspec.Struct, frozen=True):
    """A member of a list and its row, both as of one moment."""

    member: str
    payload: bytes


class Page(msgspec.Struct, frozen=True):
    """A part of a list; `total` is the length of the whole list."""

    rows: tuple[IndexedRow, ...]
    total: int


def _entry(position: Position | None) -> tuple[int, int]:
    return (-1, -1) if position is None else (position.ms, position.sequence)


class ViewStore(Protocol):
    """Raises LogUnavailable and LogFull from every call."""

    @property
    def partitions(self) -> int: ...

    async def live_generation(self, partition: int) -> int:
        """The generation that readers see."""
        ...

    async def checkpoint(self, partition: int, generation: int | None = None) -> Checkpoint:
        """Where a generation stands; of the live one where none is named."""
        ...

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        """Rows of the live generation, as of one moment for each 1,000 of them, None for one that is not there."""
        ...

    async def page(
        self,
        partition: int,
        index: str,
        table: Table,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        floor: str | None = None,
    ) -> Page:
        """The members behind `after` (None: from the end that comes first) and their rows, all of one moment.

        Members that sort before `floor` are left out, of the page and of its total. Both are members, or where those of
        a time begin (`member(at_us, "")`).
        """
        ...

    async def acquire(
        self,
        partition: int,
        generation: int,
        *,
        holder: str,
        lease_ms: int,
        build: bool = False,
        seize: bool = False,
        renews: int | None = None,
    ) -> Lease | LeaseHeld | NotLive:
        """The lease on the live generation, or with `build` on a later one.

        `renews` is the token of the lease that the holder has, and keeps. Without it the holder gets a new one, which
        fences off what it asked for before and had no answer to: that may still be on its way. `seize` takes the lease
        from whoever has it. Time is the store's.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Gives the lease up, if it is still held."""
        ...

    async def load(self, lease: Lease, keys: Sequence[RowKey]) -> list[bytes | None]:
        """Rows of the lease's generation."""
        ...

    async def commit(self, commit: Commit) -> bool:
        """Writes all of it and renews the lease; False and nothing where checkpoint or token are others by now.

        Repeating a commit that took effect answers True.
        """
        ...

    async def swap(self, live: Lease, built: Lease) -> bool:
        """Makes the built generation live in one step; False where either lease is lost or they stand apart."""
        ...

    async def drop(self, partition: int, generation: int, *, limit: int) -> bool:
        """Deletes up to `limit` lists of a generation, or parts of long ones; True once nothing is left of it.

        Raises GenerationIsLive.
        """
        ...

    def scan_rows(self, partition: int, generation: int, table: Table) -> AsyncIterator[tuple[str, bytes]]:
        """Every row of a generation by id, in no order."""
        ...

    def scan_indexes(self, partition: int, generation: int) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
        """Every list of a generation that has members."""
        ...

    async def members(self, partition: int, generation: int, index: str) -> tuple[str, ...]:
        """One list of a generation, in order; empty where it has no members. A long one is not of one moment."""
        ...
