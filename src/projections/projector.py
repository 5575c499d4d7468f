"""The projector: reads the log behind the checkpoint, folds, commits. One loop a partition; order is all it needs.

A lease keeps two projectors from doing the same work twice; what keeps the views right is the compared commit.
"""

import asyncio
import contextlib
from typing import Final, Protocol

import structlog

from events.epochs import EPOCH_FIRST, Epochs, is_there
from events.errors import LogFull, LogUnavailable
from events.log import EventLog, Head
from events.seldom import Seldom
from events.unless import unless
from projections.errors import LogHasHole, RebuildRefused
from projections.holes import ADVICE, Hole, Page, dense_part, hole_before
from projections.observing import CommitObserver, NobodyWatches
from projections.retention import SWEEP_INTERVAL_US, Retention, expired
from projections.views import Checkpoint, Lease, LeaseHeld, NotLive, ViewStore
from projections.writer import CACHED_ROWS_MAX, LEASE_MS, Writer

PAGE_EVENTS: Final = 1_000
"""Events a commit. Larger pages hold the server's only thread for longer and save nothing."""

IDLE_WAIT_MS: Final = 1_500
"""One wait for new events, behind which the lease is renewed: three times before it would end."""

PACE_S: Final = 0.003
"""From a page of several events to the next read, where nothing waits: what comes within is one page. A commit costs a
millisecond here, as much of Redis and of each API that follows, however few events are in it."""

SEVERAL_EVENTS: Final = 4
"""Of fewer somebody may wait to hear, and of the next: no pause behind them (fact to client 1.9 ms, 6.1 with one)."""

LEASE_POLL_MS: Final = 100
"""How often one that waits for the lease asks again: what a swap of generations may cost in lag."""

RETRY_PAUSE_S: Final = 0.5
"""Pause after the store did not answer."""

log = structlog.get_logger(__name__)


class Rebuild(Protocol):
    """`replay.rebuild`."""

    async def __call__(self, event_log: EventLog, views: ViewStore, partition: int, *, holder: str) -> object:
        """Raises RebuildRefused."""
        ...


class Projector:
    """Keeps one partition's live views. `holder` names this process among all that ever run.

    With `epochs` the partition's epoch is raised where this one has folded what the log does not have any more.

    `rebuild` is called where the views know of events that the log does not have (any more); without it, or until it
    succeeds, an error is logged and nothing is folded on top of them.
    """

    def __init__(
        self,
        event_log: EventLog,
        views: ViewStore,
        *,
        partition: int,
        holder: str,
        lease_ms: int = LEASE_MS,
        lease_poll_ms: int = LEASE_POLL_MS,
        page_events: int = PAGE_EVENTS,
        pace_s: float = PACE_S,
        cached_rows_max: int = CACHED_ROWS_MAX,
        retention: Retention | None = None,
        rebuild: Rebuild | None = None,
        epochs: Epochs | None = None,
        told: Seldom | None = None,
        observer: CommitObserver | None = None,
    ) -> None:
        self._log = event_log
        self._views = views
        self._partition = partition
        self._holder = holder
        self._lease_ms = lease_ms
        self._lease_poll_s = lease_poll_ms / 1_000
        self._page_events = page_events
        self._pace_s = pace_s
        self._cached_rows_max = cached_rows_max
        self._retention = retention
        self._next_sweep_us = 0
        self._rebuild = rebuild
        self._epochs = epochs
        self._told = told or Seldom()
        self._observer = observer or NobodyWatches()
        self._writer: Writer | None = None
        self._hole: Hole | None = None
        self._told_of_hole = Seldom()
        self._builds_behind_older = True
        self._stood_at = Checkpoint()

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on until told to stop, then gives the lease up. An unavailable store is waited for."""
        while not stop.is_set():
            try:
                events = await self.advance(wait_ms=IDLE_WAIT_MS, stop=stop)
                if events is None:
                    await _pause(stop, self._lease_poll_s)
                elif SEVERAL_EVENTS <= events < self._page_events:
                    await _pause(stop, self._pace_s)
            except (LogUnavailable, LogFull) as error:
                self._writer = None
                if (kept_back := self._told.due()) is not None:
                    log.warning("projector_waits", partition=self._partition, reason=str(error), kept_back=kept_back)
                await _pause(stop, RETRY_PAUSE_S)
        await self._leave()

    async def advance(self, *, wait_ms: int = 0, stop: asyncio.Event | None = None) -> int | None:
        """Reads, folds and commits one page; answers its events, None where somebody else has the lease.

        With nothing to read the lease is renewed. A page that is lost to another writer counts as 0 events. `stop` ends
        the wait for events and nothing else.
        """
        writer = self._writer or await self._take_over()
        if writer is None:
            return None
        self._writer = None
        page = await self._read(writer.lease.checkpoint, wait_ms, stop)
        dense = dense_part(page, writer.lease.checkpoint.number)
        if page and not dense:
            await self._heal_before(page, writer.lease.checkpoint)
            return None
        if dense:
            page = dense
            began_us = self._observer.begins()
            if not await writer.write(page):
                return 0
            self._observer.committed(self._partition, page, began_us)
            self._writer, self._stood_at = writer, writer.lease.checkpoint
        elif await self._renews(writer.lease) and not await self._is_beyond_log(writer.lease.checkpoint):
            self._writer = writer
        await self._sweep()
        return len(page)

    async def _read(self, behind: Checkpoint, wait_ms: int, stop: asyncio.Event | None) -> Page:
        read = self._log.read(self._partition, after=behind.position, limit=self._page_events, wait_ms=wait_ms)
        return await read if stop is None else await unless(stop, read, ())

    async def _sweep(self) -> None:
        """Once a minute, a part at a time: between two parts the log is read."""
        writer, retention = self._writer, self._retention
        if writer is None or retention is None or (now_us := retention.clock_us()) < self._next_sweep_us:
            return
        self._writer = None
        found = await expired(self._views, self._partition, now_us - retention.keep_us)
        if found is None or await writer.retire(found):
            self._writer = writer
        if found is None or not found.is_more:
            self._next_sweep_us = now_us + SWEEP_INTERVAL_US

    async def _take_over(self) -> Writer | None:
        generation = await self._views.live_generation(self._partition)
        match await self._acquire(generation):
            case Lease() as lease:
                await self._notice_loss(lease.checkpoint)
                if await self._is_beyond_log(lease.checkpoint):
                    await self._heal(lease.checkpoint)
                    return None
                if lease.is_by_older and await self._build_behind_older():
                    return None
                return Writer(self._views, lease, lease_ms=self._lease_ms, rows_max=self._cached_rows_max)
            case LeaseHeld() | NotLive():
                return None

    async def _notice_loss(self, now: Checkpoint) -> None:
        """Log and views lie side by side, so after an append-only file has lost its end, or a replica took over, they
        agree with one another: only who saw the end knows that it is gone, and nobody sees it sooner than this."""
        was = self._stood_at
        end = Head(EPOCH_FIRST if was.position is None else was.position.epoch, was.number, was.position)
        if was.position is None or not now.is_behind(was) or await is_there(self._log, self._partition, end):
            self._stood_at = now
            return
        log.error(
            "log_lost_its_end",
            partition=self._partition,
            was_at=str(was.position),
            events=was.number - now.number,
            advice="`millstream reconcile` accepts uploads again that are lost",
        )
        if self._epochs is not None:
            await self._epochs.raise_epoch(self._partition, was.position)
        self._stood_at = now

    async def _is_beyond_log(self, checkpoint: Checkpoint) -> bool:
        after = (await self._log.head(self._partition)).position
        while Checkpoint(position=after).is_behind(checkpoint):
            # Entries that somebody else put behind the last event count as folded too.
            foreign = await self._log.read(self._partition, after=after, limit=self._page_events)
            if not foreign:
                return True
            after = foreign[-1].position
        return False

    async def _heal_before(self, page: Page, checkpoint: Checkpoint) -> None:
        """Something lies between the views and a page. Where two servers think that they are the primary, a page of one
        may have been committed to the views of the other: views that are built anew then follow what the log has. Those
        that do not either stand before a hole, and nobody builds them over and over."""
        hole = hole_before(page, self._partition, checkpoint)
        if hole is None or hole != self._hole:
            if await self._heal(checkpoint):
                self._hole = hole
        elif self._told_of_hole.due() is not None:
            log.error("log_has_hole", partition=self._partition, missing=str(hole), advice=ADVICE)

    async def _heal(self, checkpoint: Checkpoint) -> bool:
        """Builds the views anew. Where that is refused it is tried again, and nothing is folded on top of them."""
        if self._told.due() is not None:
            log.error("views_beyond_log", partition=self._partition, views_at=str(checkpoint.position))
        if self._rebuild is None:
            return False
        try:
            await self._rebuild(self._log, self._views, self._partition, holder=f"{self._holder}-rebuild")
        except LogHasHole:
            return True  # what is before the hole cannot be built anew either
        except RebuildRefused:
            return False  # somebody else is at it
        return True

    async def _build_behind_older(self) -> bool:
        """An older release wrote to lists whose leaves it does not see: what it took away is still there, and what it
        added may lie out of order. They are built anew; False where they cannot be, and are followed as they are."""
        if self._rebuild is None or not self._builds_behind_older:
            return False
        log.warning("lists_by_older_release", partition=self._partition, advice="end what runs of the older release")
        try:
            await self._rebuild(self._log, self._views, self._partition, holder=f"{self._holder}-rebuild")
        except LogHasHole:
            self._builds_behind_older = False
            return False
        except RebuildRefused:
            return True  # somebody else is at it
        return True

    async def _renews(self, lease: Lease) -> bool:
        match await self._acquire(lease.generation, renews=lease.token):
            case Lease(token=token, checkpoint=checkpoint):
                return token == lease.token and checkpoint.position == lease.checkpoint.position
            case LeaseHeld() | NotLive():
                return False

    async def _acquire(self, generation: int, *, renews: int | None = None) -> Lease | LeaseHeld | NotLive:
        return await self._views.acquire(
            self._partition, generation, holder=self._holder, lease_ms=self._lease_ms, renews=renews
        )

    async def _leave(self) -> None:
        if self._writer is not None:
            # Where the store does not answer, the lease ends by itself.
            with contextlib.suppress(LogUnavailable):
                await self._views.release(self._writer.lease)
            self._writer = None


async def run_projectors(
    event_log: EventLog,
    views: ViewStore,
    *,
    holder: str,
    stop: asyncio.Event,
    lease_poll_ms: int = LEASE_POLL_MS,
    retention: Retention | None = None,
    rebuild: Rebuild | None = None,
    epochs: Epochs | None = None,
    observer: CommitObserver | None = None,
) -> None:
    """One projector a partition until told to stop. Without `retention` finished tasks stay for ever."""
    told = Seldom()
    async with asyncio.TaskGroup() as group:
        for partition in range(event_log.partitions):
            projector = Projector(
                event_log,
                views,
                partition=partition,
                holder=holder,
                lease_poll_ms=lease_poll_ms,
                retention=retention,
                rebuild=rebuild,
                epochs=epochs,
                told=told,
                observer=observer,
            )
            group.create_task(projector.run(stop))


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    """Ends early when told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
