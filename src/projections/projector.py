"""The projector: reads the log behind the checkpoint, folds, commits. One loop a partition; order is all it needs.

A lease keeps two projectors from doing the same work twice; what keeps the views right is the compared commit.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from events.envelope import Envelope
from events.errors import LogFull, LogUnavailable
from events.failpoints import Place, failpoint
from events.log import EventLog, Unreadable
from events.seldom import Seldom
from projections.batch import Batch, Rows
from projections.errors import RebuildRefused
from projections.projection import RowKey
from projections.rows import Row, decode_row, encode_row
from projections.views import Checkpoint, Commit, Lease, LeaseHeld, NotLive, ViewStore

PAGE_EVENTS: Final = 1_000
"""Events a commit. Larger pages hold the server's only thread for longer and save nothing."""

CACHED_ROWS_MAX: Final = 20_000
"""Rows kept decoded a partition, about 3 kB each: a row is read once and then only written."""

LEASE_MS: Final = 5_000
"""How long after a projector's death another takes over."""

IDLE_WAIT_MS: Final = 500
"""One wait for new events; stopping takes no longer."""

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


class RowCache:
    """The rows used last, valid as long as nobody else writes them; what the store does not have is kept as None."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows: OrderedDict[RowKey, Row | None] = OrderedDict()

    async def fetch(
        self, keys: Iterable[RowKey], load: Callable[[Sequence[RowKey]], Awaitable[list[bytes | None]]]
    ) -> Rows:
        wanted = list(keys)
        missing = [key for key in wanted if key not in self._rows]
        if missing:
            for key, payload in zip(missing, await load(missing), strict=True):
                self._rows[key] = None if payload is None else decode_row(key.table, payload)
        for key in wanted:
            self._rows.move_to_end(key)
        return {key: self._rows[key] for key in wanted}

    def keep(self, rows: Rows) -> None:
        for key, row in rows.items():
            self._rows[key] = row
            self._rows.move_to_end(key)
        while len(self._rows) > self._rows_max:
            self._rows.popitem(last=False)


class Writer:
    """Folds pages into one generation under one lease, each in one commit."""

    def __init__(
        self, views: ViewStore, lease: Lease, *, lease_ms: int = LEASE_MS, announces: bool = True, rows_max: int
    ) -> None:
        self._views = views
        self._lease = lease
        self._lease_ms = lease_ms
        self._announces = announces
        self._cache = RowCache(rows_max)

    @property
    def lease(self) -> Lease:
        """With the checkpoint of the last commit."""
        return self._lease

    async def write(self, page: Sequence[Envelope | Unreadable]) -> bool:
        """False where the lease is lost: nothing was written, and this writer is of no more use."""
        batch = Batch(page)
        batch.fold_documents(await self._cache.fetch(batch.first_keys(), self._load))
        folding = batch.fold_counts(await self._cache.fetch(batch.second_keys(), self._load))
        before, last = self._lease.checkpoint, page[-1]
        checkpoint = Checkpoint(
            position=last.position,
            # A foreign entry has no number.
            number=next((entry.number for entry in reversed(page) if entry.number), before.number),
            unreadable=before.unreadable + folding.unreadable,
            unknown=before.unknown + folding.unknown,
            refused=before.refused + folding.refused,
        )
        commit = Commit(
            lease=self._lease,
            checkpoint=checkpoint,
            rows={key: encode_row(row) for key, row in folding.rows.items()},
            indexes=folding.indexes,
            changes=folding.changes if self._announces else (),
            lease_ms=self._lease_ms,
        )
        failpoint(Place.PROJECTOR_FOLDED)
        if not await self._views.commit(commit):
            return False
        failpoint(Place.PROJECTOR_COMMITTED)
        self._cache.keep(folding.rows)
        self._lease = msgspec.structs.replace(self._lease, checkpoint=checkpoint)
        _tell_of_passed_over(self._lease.partition, before, checkpoint)
        return True

    async def _load(self, keys: Sequence[RowKey]) -> list[bytes | None]:
        return await self._views.load(self._lease, keys)


class Projector:
    """Keeps one partition's live views. `holder` names this process among all that ever run.

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
        page_events: int = PAGE_EVENTS,
        cached_rows_max: int = CACHED_ROWS_MAX,
        rebuild: Rebuild | None = None,
        told: Seldom | None = None,
    ) -> None:
        self._log = event_log
        self._views = views
        self._partition = partition
        self._holder = holder
        self._lease_ms = lease_ms
        self._page_events = page_events
        self._cached_rows_max = cached_rows_max
        self._rebuild = rebuild
        self._told = told or Seldom()
        self._writer: Writer | None = None
        self._stood_at = Checkpoint()

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on until told to stop, then gives the lease up. An unavailable store is waited for."""
        while not stop.is_set():
            try:
                if await self.advance(wait_ms=IDLE_WAIT_MS) is None:
                    await _pause(stop, LEASE_POLL_MS / 1_000)
            except (LogUnavailable, LogFull) as error:
                self._writer = None
                if (kept_back := self._told.due()) is not None:
                    log.warning("projector_waits", partition=self._partition, reason=str(error), kept_back=kept_back)
                await _pause(stop, RETRY_PAUSE_S)
        await self._leave()

    async def advance(self, *, wait_ms: int = 0) -> int | None:
        """Reads, folds and commits one page; answers its events, None where somebody else has the lease.

        With nothing to read the lease is renewed. A page that is lost to another writer counts as 0 events.
        """
        writer = self._writer or await self._take_over()
        if writer is None:
            return None
        self._writer = None
        after = writer.lease.checkpoint.position
        page = await self._log.read(self._partition, after=after, limit=self._page_events, wait_ms=wait_ms)
        if page:
            if not await writer.write(page):
                return 0
            self._writer, self._stood_at = writer, writer.lease.checkpoint
        elif await self._renews(writer.lease) and not await self._is_beyond_log(writer.lease.checkpoint):
            self._writer = writer
        return len(page)

    async def _take_over(self) -> Writer | None:
        generation = await self._views.live_generation(self._partition)
        match await self._acquire(generation):
            case Lease() as lease:
                await self._notice_loss(lease.checkpoint)
                if await self._is_beyond_log(lease.checkpoint):
                    await self._heal(lease.checkpoint)
                    return None
                return Writer(self._views, lease, lease_ms=self._lease_ms, rows_max=self._cached_rows_max)
            case LeaseHeld() | NotLive():
                return None

    async def _notice_loss(self, now: Checkpoint) -> None:
        """Log and views lie side by side, so after an append-only file has lost its end they agree with one another:
        only who saw the end knows that it is gone, and nobody sees it sooner than this."""
        if now.is_behind(self._stood_at) and not await self._is_in_log(self._stood_at, behind=now):
            log.error(
                "log_lost_its_end",
                partition=self._partition,
                was_at=str(self._stood_at.position),
                events=self._stood_at.number - now.number,
                advice="`millstream reconcile` accepts uploads again that are lost",
            )
        self._stood_at = now

    async def _is_in_log(self, wanted: Checkpoint, *, behind: Checkpoint) -> bool:
        after = behind
        while after.is_behind(wanted):
            page = await self._log.read(self._partition, after=after.position, limit=self._page_events)
            if not page or any(entry.position == wanted.position for entry in page):
                return bool(page)
            after = Checkpoint(position=page[-1].position)
        return False

    async def _is_beyond_log(self, checkpoint: Checkpoint) -> bool:
        after = (await self._log.head(self._partition)).position
        while Checkpoint(position=after).is_behind(checkpoint):
            # Entries that somebody else put behind the last event count as folded too.
            foreign = await self._log.read(self._partition, after=after, limit=self._page_events)
            if not foreign:
                return True
            after = foreign[-1].position
        return False

    async def _heal(self, checkpoint: Checkpoint) -> None:
        if self._told.due() is not None:
            log.error("views_beyond_log", partition=self._partition, views_at=str(checkpoint.position))
        if self._rebuild is not None:
            with contextlib.suppress(RebuildRefused):  # somebody else is at it
                await self._rebuild(self._log, self._views, self._partition, holder=f"{self._holder}-rebuild")

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
    event_log: EventLog, views: ViewStore, *, holder: str, stop: asyncio.Event, rebuild: Rebuild | None = None
) -> None:
    """One projector a partition until told to stop."""
    told = Seldom()
    async with asyncio.TaskGroup() as group:
        for partition in range(event_log.partitions):
            projector = Projector(event_log, views, partition=partition, holder=holder, rebuild=rebuild, told=told)
            group.create_task(projector.run(stop))


def _tell_of_passed_over(partition: int, before: Checkpoint, after: Checkpoint) -> None:
    """The counts stay in the checkpoint; the log line is for whoever watches."""
    if (after.unreadable, after.refused) != (before.unreadable, before.refused):
        log.error(
            "events_passed_over",
            partition=partition,
            until=str(after.position),
            unreadable=after.unreadable - before.unreadable,
            refused=after.refused - before.refused,
        )


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    """Ends early when told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
