"""Verify: everything folded again into a generation of its own, and each row and list compared with the live one.

Rows change while they are compared. What differs in the first pass, or is written after it, is therefore suspected;
then the live lease is seized, so that both generations stand still at the same event for some milliseconds, and the
suspects are looked at again. With `repairs` the generation that was built becomes the live one.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from events.envelope import Position
from events.log import EventLog
from projections.building import (
    begin_beside,
    building,
    come_near,
    drop_generation,
    fold_until,
    given_up_at_the_end,
    keep_build,
    seize_live,
)
from projections.bulk_writer import NOBODY, BulkWriter, Follower
from projections.errors import RebuildRefused
from projections.progress import Difference, Tell, silent
from projections.projection import TABLES, RowKey, Table
from projections.replay import make_live
from projections.rows import decode_row
from projections.views import Checkpoint, Commit, Lease, ViewStore
from projections.writer import LEASE_MS

ROWS_AT_ONCE: Final = 500

TRIES_MAX: Final = 3
"""Tasks leave the views once a minute; a comparison during which some did begins again."""


class Verified(msgspec.Struct, frozen=True):
    """What differs, as of the event at `checkpoint`; `generation` is the one that is live now."""

    checkpoint: Checkpoint
    generation: int
    rows: int
    lists: int
    differences: tuple[Difference, ...]


class _Suspects:
    """Rows and lists to be looked at again; `rows` and `lists` count what was compared."""

    def __init__(self) -> None:
        self.rows = 0
        self.lists = 0
        self.keys: set[RowKey] = set()
        self.indexes: set[str] = set()

    def note(self, commit: Commit) -> None:
        """What a page changes after it was compared."""
        self.keys.update(commit.rows, commit.removed)
        self.indexes.update(change.index for change in commit.indexes)

    def clear(self) -> None:
        """Everything written so far is about to be compared."""
        self.keys.clear()
        self.indexes.clear()


async def verify(
    event_log: EventLog,
    views: ViewStore,
    partition: int,
    *,
    holder: str,
    repairs: bool = False,
    tell: Tell = silent,
    follower: Follower = NOBODY,
) -> Verified:
    """Compares; nothing is changed unless `repairs` and something differs. Raises like `rebuild`."""
    for _ in range(TRIES_MAX):
        verified = await _verify(event_log, views, partition, holder, repairs=repairs, tell=tell, follower=follower)
        if verified is not None:
            return verified
    raise RebuildRefused("the live views kept changing while they stood still; try again in a moment")


async def _verify(
    event_log: EventLog,
    views: ViewStore,
    partition: int,
    holder: str,
    *,
    repairs: bool,
    tell: Tell,
    follower: Follower,
) -> Verified | None:
    """None where tasks left the views meanwhile, or the comparison outlived its lease."""
    live = await views.live_generation(partition)
    begun = await views.checkpoint(partition, live)
    suspects = _Suspects()
    writer = await begin_beside(views, partition, live, holder, on_commit=suspects.note, follower=follower)
    async with building(views, writer):
        await come_near(event_log, views, writer, live, tell)
        await _fold_all(event_log, writer, await views.checkpoint(partition, live), tell)
        suspects.clear()
        await _compare_all(views, writer.lease, live, holder, suspects)
        await come_near(event_log, views, writer, live, tell)
        seized = await seize_live(views, partition, live, holder)
        async with given_up_at_the_end(views, lambda: seized):
            if seized.checkpoint.retired_before_us != begun.retired_before_us:
                return None
            await _fold_all(event_log, writer, seized.checkpoint, tell)
            differences = await _differences(views, seized, writer.lease, suspects, holder)
            if differences is None:
                return None
            generation = await _settle(views, seized, writer.lease, repairs=repairs and bool(differences))
    return Verified(seized.checkpoint, generation, suspects.rows, suspects.lists, tuple(differences))


async def _fold_all(event_log: EventLog, writer: BulkWriter, end: Checkpoint, tell: Tell) -> None:
    if not await fold_until(event_log, writer, end, tell):
        raise RebuildRefused(
            "the log ends before the live views do: the projector, or `millstream replay`, rebuilds them"
        )


async def _settle(views: ViewStore, seized: Lease, built: Lease, *, repairs: bool) -> int:
    if repairs:
        await make_live(views, seized, built)
        return built.generation
    await views.release(seized)
    await drop_generation(views, built.partition, built.generation)
    return seized.generation


async def _compare_all(views: ViewStore, built: Lease, live: int, holder: str, found: _Suspects) -> None:
    """Notes rows and lists that differ, or differ because the live ones have gone on."""
    shown = _lease_on(built, live)
    for table in TABLES:
        for of, other in ((shown, built), (built, shown)):
            async for rows in _rows(views, of, table):
                await keep_build(views, built, holder)
                keys = [RowKey(table, row_id) for row_id, _ in rows]
                there = await views.load(other, keys)
                found.keys.update(
                    key for key, (_, row), twin in zip(keys, rows, there, strict=True) if not _is_same(key, row, twin)
                )
                found.rows += len(rows) if of is built else 0
    for of, other in ((shown, built), (built, shown)):
        async for index, members in views.scan_indexes(built.partition, of.generation):
            if found.lists % ROWS_AT_ONCE == 0:
                await keep_build(views, built, holder)
            if await views.members(built.partition, other.generation, index) != members:
                found.indexes.add(index)
            found.lists += of is built


async def _differences(
    views: ViewStore, live: Lease, built: Lease, suspects: _Suspects, holder: str
) -> list[Difference] | None:
    """None where somebody else took the live views over meanwhile: they may have gone on."""
    differences: list[Difference] = []
    for keys in _parts(sorted(suspects.keys, key=lambda key: (key.table.name, key.id))):
        ones, others = await views.load(live, keys), await views.load(built, keys)
        for key, one, other in zip(keys, ones, others, strict=True):
            if not _is_same(key, one, other):
                name = f"{key.table.name}/{key.id}"
                differences.append(Difference(name, _shown(key.table, one), _shown(key.table, other)))
        if not await _stands_still(views, live, holder):
            return None
    for index in sorted(suspects.indexes):
        one_list = await views.members(live.partition, live.generation, index)
        other_list = await views.members(live.partition, built.generation, index)
        if one_list != other_list:
            differences.append(Difference(f"lists/{index}", one_list, other_list))
    return differences if await _stands_still(views, live, holder) else None


async def _stands_still(views: ViewStore, live: Lease, holder: str) -> bool:
    renewed = await views.acquire(live.partition, live.generation, holder=holder, lease_ms=LEASE_MS, renews=live.token)
    return isinstance(renewed, Lease) and renewed.token == live.token


async def _rows(views: ViewStore, lease: Lease, table: Table) -> AsyncIterator[list[tuple[str, bytes]]]:
    rows: list[tuple[str, bytes]] = []
    async for row in views.scan_rows(lease.partition, lease.generation, table):
        rows.append(row)
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def _is_same(key: RowKey, one: bytes | None, other: bytes | None) -> bool:
    """Rows of an older program may have other bytes for the same content."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    try:
        return decode_row(key.table, one) == decode_row(key.table, other)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _shown(table: Table, row: bytes | None) -> object:
    """A row's content, or its bytes where they are none."""
    if row is None:
        return None
    try:
        content: object = msgspec.to_builtins(decode_row(table, row))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"unreadable: {row.hex()}"
    return content


def _lease_on(built: Lease, live: int) -> Lease:
    """For reading alone: nothing can be written by it."""
    return Lease(partition=built.partition, generation=live, token=0, checkpoint=Checkpoint(position=Position(0, 0, 0)))


def _parts(keys: Sequence[RowKey]) -> Iterable[Sequence[RowKey]]:
    return (keys[start : start + ROWS_AT_ONCE] for start in range(0, len(keys), ROWS_AT_ONCE))
