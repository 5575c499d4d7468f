"""`millstream replay`: views and what follows from the log rebuilt, verified, or shown as they stood at a moment."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum

import msgspec

from events.errors import ArchiveRefused, EntriesArchived, LogUnavailable, SegmentDamaged
from events.log import EventLog
from events.redis_archive import RedisArchive
from events.redis_derived import RedisDerived
from events.redis_log import RedisLog
from millstream.bootstrap import process_name, views_of
from millstream.embedded import reachable_redis
from millstream.errors import ExitCode, Stop
from millstream.installation import unreachable
from millstream.replay_bars import bar, event_bars, peak_memory_bytes
from millstream.settings import Settings
from millstream.stores import Stores, open_stores
from projections.archive_first import ArchiveFirst
from projections.archive_reader import Archive
from projections.as_of import Moment, StatusesAsOf, statuses_as_of
from projections.errors import RebuildRefused
from projections.history import ArchivedLog
from projections.memory_views import MemoryViews
from projections.progress import Difference, Tell
from projections.projection import TABLES
from projections.rederive import Kind, rederive
from projections.replay import rebuild
from projections.verify import verify

VIEWS = "views"
PROJECTIONS = (VIEWS, *(table.name for table in TABLES), *(kind.value for kind in Kind))
ONLY_TOGETHER = frozenset(table.name for table in TABLES)
"""Rows of all tables and their lists are committed together with one checkpoint: what readers see is of one moment."""


class Source(StrEnum):
    """Where events are read: from the segments first, or from the log without them. By default where they are."""

    ARCHIVE = "archive"
    LOG = "log"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `projection` None is everything."""

    projection: str | None = None
    source: Source | None = None
    verifies: bool = False
    repairs: bool = False
    as_of: Moment | None = None
    is_dry_run: bool = False

    @property
    def with_views(self) -> bool:
        return self.projection is None or self.projection == VIEWS or self.projection in ONLY_TOGETHER

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(kind for kind in Kind if self.projection in {None, kind.value})

    def tells_of(self, difference: Difference) -> bool:
        """Whether a difference belongs to the projection that was named."""
        named = self.projection
        return named is None or named == VIEWS or difference.name.startswith(f"{named}/")


class Planned(msgspec.Struct, frozen=True):
    """One partition before anything is done: its events, and where the live views stand."""

    partition: int
    events: int
    projected: int
    generation: int


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, how fast, and what differed; `generation` is the highest that is live now."""

    partitions: int
    events: int
    seconds: float
    events_per_s: float
    peak_memory_bytes: int
    generation: int
    differences: tuple[Difference, ...] = ()
    planned: tuple[Planned, ...] = ()
    statuses: StatusesAsOf | None = None


async def replay_all(settings: Settings, wanted: Wanted, *, quiet: bool) -> ReplayReport:
    """One partition after the other. Raises Stop."""
    async with reachable_redis(settings.redis_url, settings.data_path) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        async with open_stores(settings) as stores, replay_troubles(settings):
            return await Replaying(stores, wanted, quiet=quiet).run()


@asynccontextmanager
async def replay_troubles(settings: Settings) -> AsyncIterator[None]:
    """What can go wrong with a fold of everything, told in a line that says what to do."""
    try:
        yield
    except SegmentDamaged as error:
        raise Stop(
            f"the archive is damaged: {error}",
            hint="nothing was published; `millstream archive verify` names all that is wrong",
            exit_code=ExitCode.DAMAGED,
        ) from None
    except EntriesArchived as error:
        raise Stop(
            f"the log is not whole: {error}",
            hint="leave --from out, or replay --from archive",
            exit_code=ExitCode.USAGE,
        ) from None
    except (RebuildRefused, ArchiveRefused) as error:
        raise Stop(str(error), hint="if another replay is under way, wait for it, then start this one again") from None
    except LogUnavailable as error:
        raise unreachable(settings, error) from None


class Replaying:
    """One run of the command."""

    def __init__(self, stores: Stores, wanted: Wanted, *, quiet: bool) -> None:
        self._stores = stores
        self._wanted = wanted
        self._quiet = quiet
        self._log = log_from(stores, wanted.source)
        self._views = views_of(stores)
        self._derived = RedisDerived(stores.clients.commands, stores.keys)
        self._holder = process_name("replay")
        self._generation = 0

    async def run(self) -> ReplayReport:
        """Raises RebuildRefused and what log and stores raise."""
        started_s = time.perf_counter()
        planned = [await self._plan(partition) for partition in range(self._log.partitions)]
        self._generation = max(one.generation for one in planned)
        statuses, differences, events = None, list[Difference](), 0
        if self._wanted.is_dry_run:
            events = sum(one.events for one in planned)
        elif self._wanted.as_of is not None:
            statuses = await self._as_of(self._wanted.as_of, sum(one.events for one in planned))
            events = statuses.events
        else:
            await self._check_archive()
            for one in planned:
                events += await self._partition(one, differences)
        seconds = time.perf_counter() - started_s
        return ReplayReport(
            partitions=self._log.partitions,
            events=events,
            seconds=round(seconds, 3),
            events_per_s=0.0 if self._wanted.is_dry_run else events / max(seconds, 1e-9),
            peak_memory_bytes=peak_memory_bytes(),
            generation=self._generation,
            differences=tuple(filter(self._wanted.tells_of, differences)),
            planned=tuple(planned) if self._wanted.is_dry_run else (),
            statuses=statuses,
        )

    async def _check_archive(self) -> None:
        """All of it before anything is published: a partition that comes late must not be found damaged then."""
        if not isinstance(self._log, ArchivedLog) or (self._wanted.verifies and not self._wanted.repairs):
            return
        with event_bars(quiet=self._quiet) as bars:
            for partition in range(self._log.partitions):
                damages = await self._log.verify(partition, bar(bars, f"partition {partition}: archive", 0))
                if damages:
                    first = damages[0]
                    raise SegmentDamaged(first.segment, first.what, offset=first.offset, number=first.number)

    async def _plan(self, partition: int) -> Planned:
        generation = await self._views.live_generation(partition)
        checkpoint = await self._views.checkpoint(partition, generation)
        return Planned(partition, (await self._log.head(partition)).number, checkpoint.number, generation)

    async def _as_of(self, moment: Moment, total: int) -> StatusesAsOf:
        views = MemoryViews(partitions=self._log.partitions, clock_ms=lambda: 0)
        with event_bars(quiet=self._quiet) as bars:
            return await statuses_as_of(self._log, views, moment, tell=bar(bars, "folding", total))

    async def _partition(self, one: Planned, differences: list[Difference]) -> int:
        events = 0
        with event_bars(quiet=self._quiet) as bars:
            if self._wanted.with_views:
                tell = bar(bars, f"partition {one.partition}: views", one.projected)
                events = await self._replay_views(one.partition, differences, tell)
            if self._wanted.kinds:
                tell = bar(bars, f"partition {one.partition}: work", one.events)
                events = max(events, await self._rederive(one.partition, differences, tell))
        return events

    async def _replay_views(self, partition: int, differences: list[Difference], tell: Tell) -> int:
        if self._wanted.verifies:
            verified = await verify(
                self._log, self._views, partition, holder=self._holder, repairs=self._wanted.repairs, tell=tell
            )
            differences += verified.differences
            self._generation = max(self._generation, verified.generation)
            return verified.checkpoint.number
        rebuilt = await rebuild(self._log, self._views, partition, holder=self._holder, on_progress=tell)
        self._generation = max(self._generation, rebuilt.after)
        return rebuilt.checkpoint.number

    async def _rederive(self, partition: int, differences: list[Difference], tell: Tell) -> int:
        found = await rederive(
            self._log,
            self._derived,
            partition,
            self._wanted.kinds,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            grace_ms=self._stores.settings.lease_s * 1_000,
            repairs=self._wanted.repairs or not self._wanted.verifies,
            tell=tell,
        )
        differences += found.differences
        return found.events


def log_from(stores: Stores, source: Source | None) -> EventLog:
    """The log read as asked for."""
    hot = RedisLog(stores.clients.commands, stores.clients.blocking, stores.keys)
    makes: Callable[[EventLog, Archive], EventLog]
    match source:
        case Source.LOG:
            return hot
        case Source.ARCHIVE:
            makes = ArchiveFirst
        case None:
            makes = ArchivedLog
    return makes(hot, Archive(RedisArchive(stores.clients.commands, stores.keys), stores.blobs))
