"""One partition of a replay: its views, and what follows from its facts, from one reading of the log."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from events.errors import ArchiveRefused, EntriesArchived, LogFull, LogUnavailable, SegmentDamaged
from events.log import EventLog
from events.redis_archive import RedisArchive
from events.redis_derived import RedisDerived
from events.redis_log import RedisLog
from millstream.errors import ExitCode, Stop
from millstream.installation import unreachable
from millstream.process_name import process_name
from millstream.replay_bars import peak_memory_bytes
from millstream.replay_stores import ReplayStores
from millstream.replay_wanted import Planned, Source, Wanted
from millstream.settings import Settings
from projections.archive_first import ArchiveFirst
from projections.archive_reader import BLOCKS_IN_ORDER, Archive
from projections.bulk_writer import NOBODY, Follower
from projections.errors import LogHasHole, RebuildRefused
from projections.history import ArchivedLog
from projections.holes import ADVICE
from projections.progress import Difference, Tell
from projections.rederive import Followed, rederive
from projections.replay import rebuild
from projections.verify import verify


class PartitionReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to one partition; `generation` is live now, `peak_memory_bytes` of the process `pid`."""

    events: int
    generation: int
    differences: tuple[Difference, ...]
    pid: int
    peak_memory_bytes: int


class ReplayingPartition:
    """Raises RebuildRefused and what log and stores raise."""

    def __init__(self, stores: ReplayStores, wanted: Wanted, one: Planned, tell: Tell) -> None:
        self._stores = stores
        self._wanted = wanted
        self._one = one
        self._tell = tell
        self._log = log_from(stores, wanted.source)
        self._views = stores.views
        self._holder = process_name("replay")

    async def run(self) -> PartitionReport:
        """Pointers are worked out from the pages that the views were folded from, and from what came after them."""
        followed, events, generation = Followed(), 0, self._one.generation
        differences: list[Difference] = []
        if self._wanted.with_views:
            follower = Follower(followed.follow, followed.outstanding.keep) if self._wanted.kinds else NOBODY
            events, generation, found = await self._replay_views(follower)
            differences += found
        if self._wanted.kinds:
            rederived = await self._rederive(followed)
            events = max(events, followed.number)
            differences += rederived
        return PartitionReport(
            events=events,
            generation=generation,
            differences=tuple(differences),
            pid=os.getpid(),
            peak_memory_bytes=peak_memory_bytes(),
        )

    async def _replay_views(self, follower: Follower) -> tuple[int, int, tuple[Difference, ...]]:
        partition = self._one.partition
        if not self._wanted.verifies:
            rebuilt = await rebuild(
                self._log, self._views, partition, holder=self._holder, on_progress=self._tell, follower=follower
            )
            return rebuilt.checkpoint.number, rebuilt.after, ()
        verified = await verify(
            self._log,
            self._views,
            partition,
            holder=self._holder,
            repairs=self._wanted.repairs,
            tell=self._tell,
            follower=follower,
        )
        return verified.checkpoint.number, verified.generation, verified.differences

    async def _rederive(self, followed: Followed) -> tuple[Difference, ...]:
        found = await rederive(
            self._log,
            RedisDerived(self._stores.clients.commands, self._stores.keys),
            self._one.partition,
            self._wanted.kinds,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            grace_ms=self._stores.settings.lease_s * 1_000,
            repairs=self._wanted.repairs or not self._wanted.verifies,
            tell=self._tell,
            followed=followed,
        )
        return found.differences


def log_from(stores: ReplayStores, source: Source | None) -> EventLog:
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
    store = RedisArchive(stores.clients.commands, stores.keys)
    return makes(hot, Archive(store, stores.blobs, blocks_kept=BLOCKS_IN_ORDER))


@asynccontextmanager
async def replay_troubles(settings: Settings) -> AsyncIterator[None]:
    """What can go wrong with a fold of everything, told in a line that says what to do."""
    try:
        yield
    except SegmentDamaged as error:
        raise Stop(
            f"the archive is damaged: {error}",
            hint="nothing that is folded from it was published; `millstream archive verify` names all that is wrong",
            exit_code=ExitCode.DAMAGED,
        ) from None
    except EntriesArchived as error:
        raise Stop(
            f"the log is not whole: {error}",
            hint="leave --from out, or replay --from archive",
            exit_code=ExitCode.USAGE,
        ) from None
    except LogHasHole as error:
        raise Stop(
            str(error), hint=f"what is missing cannot be folded, the live views stay as they are: {ADVICE}"
        ) from None
    except (RebuildRefused, ArchiveRefused) as error:
        raise Stop(str(error), hint="if another replay is under way, wait for it, then start this one again") from None
    except LogUnavailable as error:
        raise unreachable(settings, error) from None
    except LogFull as error:
        raise Stop(
            str(error),
            hint="new views lie beside the live ones until they are swapped: give Redis room, then start this again",
            exit_code=ExitCode.UNREACHABLE,
        ) from None
