"""`millstream replay`: views and what follows from the log rebuilt, verified, or shown as they stood at a moment."""

import os
import time

import msgspec

from events.errors import SegmentDamaged
from millstream.embedded import reachable_redis
from millstream.replay_bars import bar, event_bars, peak_memory_bytes
from millstream.replay_partition import PartitionReport, ReplayingPartition, log_from, replay_troubles
from millstream.replay_processes import ReplayProcesses, processes_for
from millstream.replay_stores import ReplayStores, open_replay_stores
from millstream.replay_wanted import Planned, Wanted
from millstream.settings import Settings
from projections.as_of import Moment, StatusesAsOf, statuses_as_of
from projections.history import ArchivedLog
from projections.memory_views import MemoryViews
from projections.progress import Difference


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, how fast, and what differed; `generation` is the highest that is live now.

    `peak_memory_bytes` is of all `processes` together.
    """

    partitions: int
    events: int
    seconds: float
    events_per_s: float
    peak_memory_bytes: int
    generation: int
    processes: int = 1
    differences: tuple[Difference, ...] = ()
    planned: tuple[Planned, ...] = ()
    statuses: StatusesAsOf | None = None


async def replay_all(
    settings: Settings, wanted: Wanted, at_hand: ReplayProcesses | None, *, quiet: bool
) -> ReplayReport:
    """Partitions one after the other, or several at once by the processes that are at hand. Raises Stop."""
    async with reachable_redis(settings.redis_url, settings.data_path) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        async with open_replay_stores(settings) as stores, replay_troubles(settings):
            return await Replaying(stores, wanted, at_hand, quiet=quiet).run()


class Replaying:
    """One run of the command."""

    def __init__(self, stores: ReplayStores, wanted: Wanted, at_hand: ReplayProcesses | None, *, quiet: bool) -> None:
        self._stores = stores
        self._wanted = wanted
        self._at_hand = at_hand
        self._quiet = quiet
        self._log = log_from(stores, wanted.source)
        self._views = stores.views

    async def run(self) -> ReplayReport:
        """Raises RebuildRefused and what log and stores raise."""
        started_s = time.perf_counter()
        planned = [await self._plan(partition) for partition in range(self._log.partitions)]
        statuses, reports, events = None, list[PartitionReport](), 0
        processes = 1
        if self._wanted.is_dry_run:
            events = sum(one.events for one in planned)
        elif self._wanted.as_of is not None:
            statuses = await self._as_of(self._wanted.as_of, sum(one.events for one in planned))
            events = statuses.events
        else:
            await self._check_archive()
            processes = processes_for(self._wanted.processes, planned)
            reports = await self._partitions(planned, processes)
            events = sum(one.events for one in reports)
        seconds = time.perf_counter() - started_s
        return ReplayReport(
            partitions=self._log.partitions,
            events=events,
            seconds=round(seconds, 3),
            events_per_s=0.0 if self._wanted.is_dry_run else events / max(seconds, 1e-9),
            peak_memory_bytes=peak_memory_bytes() + _elsewhere_bytes(reports),
            generation=max([one.generation for one in planned] + [one.generation for one in reports]),
            processes=processes,
            differences=tuple(one for report in reports for one in report.differences if self._wanted.tells_of(one)),
            planned=tuple(planned) if self._wanted.is_dry_run else (),
            statuses=statuses,
        )

    async def _check_archive(self) -> None:
        """All of it before anything is published: a partition that comes late must not be found damaged then. By its
        digests, for they stand for every byte: what the bytes say is looked at as it is folded."""
        if not isinstance(self._log, ArchivedLog) or (self._wanted.verifies and not self._wanted.repairs):
            return
        with event_bars(quiet=self._quiet) as bars:
            for partition in range(self._log.partitions):
                drawn = bar(bars, f"partition {partition}: archive", 0)
                damages = await self._log.verify(partition, drawn, unpacks=False)
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

    async def _partitions(self, planned: list[Planned], processes: int) -> list[PartitionReport]:
        with event_bars(quiet=self._quiet) as bars:
            if processes > 1 and self._at_hand is not None:
                return await self._at_hand.run(self._stores.settings, self._wanted, planned, bars)
            return [
                await ReplayingPartition(
                    self._stores, self._wanted, one, bar(bars, f"partition {one.partition}", one.events)
                ).run()
                for one in planned
            ]


def _elsewhere_bytes(reports: list[PartitionReport]) -> int:
    """What processes other than this one have held at most, together."""
    peaks: dict[int, int] = {}
    for one in reports:
        peaks[one.pid] = max(one.peak_memory_bytes, peaks.get(one.pid, 0))
    peaks.pop(os.getpid(), None)
    return sum(peaks.values())
