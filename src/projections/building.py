"""A generation built beside the live one: begun empty, folded up to a place, deleted where it is not wanted."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from events.envelope import Envelope
from events.errors import LogError
from events.log import EventLog, Unreadable
from projections.bulk_writer import NOBODY, BulkWriter, Follower
from projections.errors import LogHasHole, RebuildRefused
from projections.progress import Progress, Tell
from projections.projector import PAGE_EVENTS
from projections.views import Checkpoint, Commit, Lease, ViewStore
from projections.writer import LEASE_MS

NEAR_EVENTS: Final = 2 * PAGE_EVENTS
"""So close to the live views the last stretch begins: about 50 ms of folding."""

DROP_LISTS: Final = 1_000
"""Lists deleted a call: about 1 ms of server time."""


async def begin_beside(
    views: ViewStore,
    partition: int,
    live: int,
    holder: str,
    *,
    on_commit: Callable[[Commit], None] = lambda _commit: None,
    follower: Follower = NOBODY,
) -> BulkWriter:
    """An empty generation behind the live one, to hold what that one holds. Raises RebuildRefused.

    Whatever an earlier rebuild left of it is deleted, as it may have folded otherwise.
    """
    generation = live + 1
    retired_before_us = (await views.checkpoint(partition, live)).retired_before_us
    left = await _acquire(views, partition, generation, holder)
    await views.release(left)
    await drop_generation(views, partition, generation)
    lease = await _acquire(views, partition, generation, holder)
    return BulkWriter(views, lease, retired_before_us=retired_before_us, on_commit=on_commit, follower=follower)


@asynccontextmanager
async def building(views: ViewStore, writer: BulkWriter) -> AsyncIterator[None]:
    """However the body ends, nothing is under way behind it, and the lease is released."""
    async with given_up_at_the_end(views, lambda: writer.lease):
        try:
            yield
        finally:
            await writer.give_up()


@asynccontextmanager
async def given_up_at_the_end(views: ViewStore, held: Callable[[], Lease]) -> AsyncIterator[None]:
    """However the body ends, the lease is released. It would end by itself, but until then nobody could begin anew."""
    try:
        yield
    finally:
        with suppress(LogError):
            await views.release(held())


async def come_near(event_log: EventLog, views: ViewStore, writer: BulkWriter, live: int, tell: Tell) -> None:
    """Folds until the live views, which go on meanwhile, are a few pages ahead at most."""
    partition = writer.lease.partition
    while (live_at := await views.checkpoint(partition, live)).number - writer.lease.checkpoint.number > NEAR_EVENTS:
        far_events = live_at.number - writer.lease.checkpoint.number - NEAR_EVENTS
        if not await fold_until(event_log, writer, live_at, tell, pages=-(-far_events // PAGE_EVENTS)):
            return


async def seize_live(views: ViewStore, partition: int, live: int, holder: str) -> Lease:
    """The live views stand still from now on. Raises RebuildRefused."""
    seized = await views.acquire(partition, live, holder=holder, lease_ms=LEASE_MS, seize=True)
    if not isinstance(seized, Lease):
        raise RebuildRefused("another generation became live meanwhile")
    return seized


async def fold_until(
    event_log: EventLog, writer: BulkWriter, end: Checkpoint, tell: Tell, *, pages: int | None = None
) -> bool:
    """Up to and with the event at `end`, or `pages` pages towards it; False where the log ends before that. All of it
    is committed.

    Raises RebuildRefused.
    """
    partition, is_there = writer.lease.partition, True
    while writer.checkpoint.is_behind(end) and pages != 0:
        page = await event_log.read(partition, after=writer.checkpoint.position, limit=PAGE_EVENTS)
        while page and end.is_behind(Checkpoint(position=page[-1].position)):
            page.pop()
        if not page:
            is_there = False
            break
        check_dense(page, writer.checkpoint.number)
        _or_refused(await writer.write(page))
        tell(Progress(writer.checkpoint.number, end.number))
        pages = None if pages is None else pages - 1
    _or_refused(await writer.commit())
    return is_there


def _or_refused(is_written: bool) -> None:
    if not is_written:
        raise RebuildRefused("another rebuild took over")


def check_dense(page: Sequence[Envelope | Unreadable], number: int) -> None:
    """Nothing is missing between the event with that number and the page, nor within it. Raises LogHasHole.

    Entries that a foreign writer put there have no number.
    """
    if [entry.number for entry in page] == list(range(number + 1, number + 1 + len(page))):
        return  # nearly every page, at a tenth of what looking one by one takes
    for entry in page:
        if entry.number and entry.number != number + 1:
            raise LogHasHole(f"the log holds event {entry.number} where {number + 1} is next, at {entry.position}")
        number = entry.number or number


async def keep_build(views: ViewStore, lease: Lease, holder: str) -> None:
    """Renews the lease while nothing is folded. Raises RebuildRefused."""
    renewed = await views.acquire(
        lease.partition, lease.generation, holder=holder, lease_ms=LEASE_MS, build=True, renews=lease.token
    )
    if not isinstance(renewed, Lease) or renewed.token != lease.token:
        raise RebuildRefused("another rebuild took over")


async def drop_generation(views: ViewStore, partition: int, generation: int) -> None:
    """Deletes all of it. Raises GenerationIsLive."""
    while not await views.drop(partition, generation, limit=DROP_LISTS):
        pass


async def _acquire(views: ViewStore, partition: int, generation: int, holder: str) -> Lease:
    lease = await views.acquire(partition, generation, holder=holder, lease_ms=LEASE_MS, build=True)
    if not isinstance(lease, Lease):
        raise RebuildRefused("another rebuild of this partition is under way, or just ended")
    return lease
