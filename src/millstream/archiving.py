"""The archive of an installation: kept by the projector role, moved on, listed and verified by commands."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from events.archive import SegmentEntry
from events.errors import LogError, LogUnavailable, SegmentDamaged
from events.redis_archive import RedisArchive
from millstream.blob_location import open_blobs
from millstream.embedded import reachable_redis
from millstream.errors import ExitCode, Stop
from millstream.installation import connect, open_keys, unreachable
from millstream.settings import Settings
from millstream.stores import Stores, open_stores
from projections.archive_check import Damage, verify
from projections.archiver import LEASE_MS, Archived, Archiver, ArchiveSettings, run_archivers

BUSY_POLL_S = 0.5
STOP_POLL_S = 0.1


class VerifiedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and everything that is wrong with it."""

    partitions: int
    segments: int
    events: int
    damages: tuple[Damage, ...]


def archive_settings(settings: Settings, *, trims: bool = False) -> ArchiveSettings:
    """`trims`: whatever is archived leaves the log at once."""
    return ArchiveSettings(
        segment_events_max=settings.archive_segment_events_max,
        after_s=settings.archive_after_s,
        retention_s=0 if trims else settings.archive_retention_s,
    )


async def archiving(settings: Settings, *, holder: str, stop: asyncio.Event) -> None:
    """Archives every partition until told to stop, in a thread with an event loop of its own.

    Among eight busy projectors of one loop each await of the archiver took 0.2 s: it wrote 1,000 events/s, and the log
    grew. A thread gets its half of the processor while it has work. Raises Stop.
    """
    is_given_up = threading.Event()

    def is_over() -> bool:
        return stop.is_set() or is_given_up.is_set()

    try:
        await asyncio.to_thread(lambda: asyncio.run(_archiving(settings, holder=holder, is_over=is_over)))
    finally:
        is_given_up.set()  # a thread cannot be cancelled, and the interpreter waits for it


async def _archiving(settings: Settings, *, holder: str, is_over: Callable[[], bool]) -> None:
    """Another loop's event may be looked at, not waited for: hence `is_over`."""
    async with connect(settings) as clients:
        keys = await open_keys(settings, clients)
        blobs, stopping = open_blobs(settings), asyncio.Event()
        store = RedisArchive(clients.commands, keys)
        working = asyncio.create_task(
            run_archivers(store, blobs, archive_settings(settings), holder=holder, stop=stopping)
        )
        try:
            while not is_over() and not working.done():
                await asyncio.wait({working}, timeout=STOP_POLL_S)
            stopping.set()
            await working
        finally:
            await blobs.close()


async def archive_now(settings: Settings, *, holder: str, trims: bool) -> list[Archived]:
    """Archives everything that is in the log, whatever its age. Raises Stop."""
    async with _opened(settings) as stores:
        return [
            await _archive_partition(stores, partition, holder=holder, trims=trims)
            for partition in range(stores.log.partitions)
        ]


async def list_segments(settings: Settings) -> list[SegmentEntry]:
    """The manifests of all partitions, one after the other. Raises Stop."""
    async with _opened(settings) as stores:
        return [one for partition in range(stores.log.partitions) for one in await stores.archive.segments(partition)]


async def verify_archive(settings: Settings, *, quiet: bool) -> VerifiedArchive:
    """Reads every segment of every partition. Raises Stop."""
    from millstream.replay_bars import bar, event_bars  # rich, which no role needs: 50 ms of each start

    async with _opened(settings) as stores:
        damages: list[Damage] = []
        segments = events = 0
        with event_bars(quiet=quiet) as bars:
            for partition in range(stores.log.partitions):
                entries = await stores.archive.segments(partition)
                count = sum(entry.count for entry in entries)
                damages += await verify(stores.archive, partition, bar(bars, f"partition {partition}", count))
                segments, events = segments + len(entries), events + count
        return VerifiedArchive(
            partitions=stores.log.partitions, segments=segments, events=events, damages=tuple(damages)
        )


async def _archive_partition(stores: Stores, partition: int, *, holder: str, trims: bool) -> Archived:
    archiver = Archiver(
        stores.archive.store,
        stores.blobs,
        partition=partition,
        holder=holder,
        settings=archive_settings(stores.settings, trims=trims),
    )
    for _ in range(int(2 * LEASE_MS / 1_000 / BUSY_POLL_S)):
        done = await archiver.advance(everything=True)
        if done is not None:
            return done
        await asyncio.sleep(BUSY_POLL_S)
    raise Stop(
        f"another process has been archiving partition {partition} for more than {2 * LEASE_MS / 1_000:.0f} s",
        hint="look for `archived` in the projector's log; it does by itself what this command does",
    )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Stores]:
    async with reachable_redis(settings.redis_url, settings.data_path) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        async with open_stores(settings, appends=False) as stores:
            try:
                yield stores
            except LogUnavailable as error:
                raise unreachable(settings, error) from None
            except SegmentDamaged as error:
                raise Stop(
                    str(error),
                    hint="`millstream archive verify` names every damage; restore the blob from a copy",
                    exit_code=ExitCode.DAMAGED,
                ) from None
            except LogError as error:
                raise Stop(str(error), hint="nothing was lost or trimmed; see docs/archive.md") from None
