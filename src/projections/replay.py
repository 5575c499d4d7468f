"""Rebuild: everything folded anew into a generation beside the live one, then one swap of the pointer.

The new generation never runs ahead of the live one: at the end the live lease is seized, so that the projector stands
still for the few milliseconds of the last page; both then stand at the same event, and readers cannot see time go back.
Where the log has lost its end (a backup was put back, say) they do: the views then show what the log still has.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from events.log import EventLog
from projections.errors import RebuildRefused
from projections.projection import TABLES
from projections.projector import CACHED_ROWS_MAX, LEASE_MS, PAGE_EVENTS, Writer
from projections.views import Checkpoint, Commit, Lease, ViewStore

NEAR_EVENTS: Final = 2 * PAGE_EVENTS
"""So close to the live views the last stretch begins: about 50 ms of folding."""

DROP_LISTS: Final = 1_000
"""Lists deleted a call: about 1 ms of server time."""

_log = structlog.get_logger(__name__)


class Progress(msgspec.Struct, frozen=True):
    """Events folded so far, and how many the live views stand at."""

    folded: int
    total: int


class Rebuilt(msgspec.Struct, frozen=True):
    """The generation that was live before and the one that is now, both at `checkpoint` when they were swapped."""

    before: int
    after: int
    checkpoint: Checkpoint


class Difference(msgspec.Struct, frozen=True):
    """A row (by table and id) or a list (by name) that two generations do not agree on; None: it has none."""

    name: str
    one: object
    other: object


async def rebuild(
    event_log: EventLog,
    views: ViewStore,
    partition: int,
    *,
    holder: str,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    drops_old: bool = True,
) -> Rebuilt:
    """Builds, swaps, deletes. `holder` must be nobody else's name. Raises RebuildRefused and what log and store raise.

    A rebuild that is broken off leaves the live generation as it is; the next one deletes what was left.
    """
    live = await views.live_generation(partition)
    writer = await _begin(views, partition, live + 1, holder)
    while (live_at := await views.checkpoint(partition, live)).number - writer.lease.checkpoint.number > NEAR_EVENTS:
        if not await _fold_until(event_log, writer, live_at, on_progress, pages=1):
            break
    seized = await views.acquire(partition, live, holder=holder, lease_ms=LEASE_MS, seize=True)
    if not isinstance(seized, Lease):
        raise RebuildRefused("another generation became live meanwhile")
    await _fold_until(event_log, writer, seized.checkpoint, on_progress)
    if writer.lease.checkpoint.is_behind(seized.checkpoint):
        seized = await _taken_back(views, seized, writer.lease.checkpoint)
    if not await views.swap(seized, writer.lease):
        raise RebuildRefused("the live views went on while the new ones were about to replace them")
    if drops_old:
        await _drop(views, partition, live)
    return Rebuilt(live, live + 1, writer.lease.checkpoint)


async def compare(views: ViewStore, partition: int, one: int, other: int) -> list[Difference]:
    """Row by row and list by list; both generations must stand still meanwhile."""
    differences: list[Difference] = []
    for table in TABLES:
        left = {row_id: row async for row_id, row in views.scan_rows(partition, one, table)}
        right = {row_id: row async for row_id, row in views.scan_rows(partition, other, table)}
        differences += _unequal(f"{table.name}/", left, right)
    lists_left = {index: members async for index, members in views.scan_indexes(partition, one)}
    lists_right = {index: members async for index, members in views.scan_indexes(partition, other)}
    return differences + _unequal("", lists_left, lists_right)


async def _begin(views: ViewStore, partition: int, generation: int, holder: str) -> Writer:
    """An empty generation; whatever an earlier rebuild left of it is deleted, as it may have folded otherwise."""
    left = await _acquire_build(views, partition, generation, holder)
    await views.release(left)
    await _drop(views, partition, generation)
    lease = await _acquire_build(views, partition, generation, holder)
    return Writer(views, lease, announces=False, rows_max=CACHED_ROWS_MAX)


async def _acquire_build(views: ViewStore, partition: int, generation: int, holder: str) -> Lease:
    lease = await views.acquire(partition, generation, holder=holder, lease_ms=LEASE_MS, build=True)
    if not isinstance(lease, Lease):
        raise RebuildRefused("another rebuild of this partition is under way, or just ended")
    return lease


async def _fold_until(
    event_log: EventLog,
    writer: Writer,
    end: Checkpoint,
    on_progress: Callable[[Progress], None],
    *,
    pages: int | None = None,
) -> bool:
    """Up to and with the event at `end`, or `pages` pages towards it; False where the log ends before that."""
    partition = writer.lease.partition
    while writer.lease.checkpoint.is_behind(end) and pages != 0:
        read = await event_log.read(partition, after=writer.lease.checkpoint.position, limit=PAGE_EVENTS)
        page = [entry for entry in read if not end.is_behind(Checkpoint(position=entry.position))]
        if not page:
            return False
        if not await writer.write(page):
            raise RebuildRefused("another rebuild took over")
        on_progress(Progress(writer.lease.checkpoint.number, end.number))
        pages = None if pages is None else pages - 1
    return True


async def _taken_back(views: ViewStore, live: Lease, end: Checkpoint) -> Lease:
    """The live views know of events that the log has lost. What the log has is the truth; the swap replaces them."""
    _log.error("log_ends_before_views", partition=live.partition, log=end.number, views=live.checkpoint.number)
    if not await views.commit(Commit(lease=live, checkpoint=end, rows={}, indexes=(), lease_ms=LEASE_MS)):
        raise RebuildRefused("the live views went on while they were about to be replaced")
    return msgspec.structs.replace(live, checkpoint=end)


async def _drop(views: ViewStore, partition: int, generation: int) -> None:
    while not await views.drop(partition, generation, limit=DROP_LISTS):
        pass


def _unequal(prefix: str, one: Mapping[str, object], other: Mapping[str, object]) -> list[Difference]:
    names = sorted(one.keys() | other.keys())
    return [
        Difference(prefix + name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    ]
