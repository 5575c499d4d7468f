"""`millstream restore`: an installation whose Redis is gone, brought back from its archive and its blobs.

In this order: every segment is read and checked; marks, manifest and the ends of streams go into Redis; the index
forgets its fences, as versions may be counted anew; keys are put back; only then the installation exists again. What
follows could be done by `millstream replay` and the services too: views, inboxes and timers, and uploads behind the
last segment.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from blobs.errors import BlobError
from blobs.store import BlobStore
from events.errors import UnsafeConfiguration
from events.ids import KnowledgeBaseId, StreamKind, kind_of
from events.keys import Keys, tags
from events.redis_archive import RedisArchive
from events.redis_clients import Clients
from events.redis_derived import RedisDerived
from events.redis_log import RedisLog
from events.redis_restore import RedisRestore
from events.redis_setup import check_server
from events.restored import RestoredLog
from ingest.reconcile import Reconciled, reconcile
from knowledge.index import Index
from millstream.admission.key_copy import agree
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.blob_location import open_blobs
from millstream.bootstrap import queries_of
from millstream.embedded import EmbeddedRedis
from millstream.errors import ExitCode, Stop
from millstream.index_location import open_index
from millstream.ingesting import ingest_services
from millstream.installation import connect
from millstream.marker import MARKER_KEY, Marker, read_marker
from millstream.process_name import process_name
from millstream.replay_bars import bar, event_bars
from millstream.replay_partition import replay_troubles
from millstream.settings import Settings
from millstream.stores import Stores, clock_us, open_stores, views_of
from millstream.telemetry import configure_logging
from processors.knowledge_bases import KnowledgeBases
from projections.archive_reader import Archive
from projections.history import ArchivedLog
from projections.progress import Progress
from projections.projector import Projector
from projections.rederive import Kind, rederive
from projections.restore import read_partition


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `pointers` are the inbox entries, timers, dead letters and tallies that were put."""

    installation_id: str
    partitions: int
    segments: int
    events: int
    streams: int
    pointers: int
    uploads: Reconciled
    seconds: float


async def restore(settings: Settings, *, quiet: bool) -> RestoreReport:
    """Raises Stop: also where an installation lives in this Redis, or where a segment is damaged (nothing is put)."""
    configure_logging(settings, role="restore")
    async with _redis_url(settings) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        async with replay_troubles(settings):
            started_s = time.perf_counter()
            marker, logs = await _bring_back_logs(settings, quiet=quiet)
            async with open_stores(settings) as stores:
                await _project(stores, quiet=quiet)
                await _put_work(stores, [Kind.DIGESTS])  # what is archived is not accepted twice
                # No service runs: a sidecar without events belongs to no request that is about to append.
                uploads = await reconcile(ingest_services(stores, queries_of(stores)), youngest=timedelta(0))
                await _project(stores, quiet=True)
                pointers = await _put_work(stores, list(Kind))
    return RestoreReport(
        installation_id=marker.installation_id,
        partitions=marker.partitions,
        segments=sum(len(one.segments) for one in logs),
        events=sum(one.events for one in logs),
        streams=sum(len(one.streams) for one in logs),
        pointers=pointers,
        uploads=uploads,
        seconds=round(time.perf_counter() - started_s, 3),
    )


@asynccontextmanager
async def _redis_url(settings: Settings) -> AsyncIterator[str]:
    """The configured Redis, else an embedded one that is started, empty as it may be. Raises Stop."""
    if settings.redis_url:
        yield settings.redis_url
        return
    async with EmbeddedRedis(settings.data_path) as embedded:
        yield embedded.url


async def _bring_back_logs(settings: Settings, *, quiet: bool) -> tuple[Marker, Sequence[RestoredLog]]:
    blobs = open_blobs(settings)
    try:
        async with connect(settings) as clients:
            marker = await _marker(blobs)
            try:
                await check_server(clients.commands)
            except UnsafeConfiguration as error:
                raise Stop(str(error), exit_code=ExitCode.CONFIGURATION) from None
            keys = Keys(marker.partitions)
            archive = Archive(RedisArchive(clients.commands, keys), blobs)
            logs = await _read_archive(archive, blobs, marker, quiet=quiet)
            restored = await _put_logs(settings, clients, keys, archive, logs)
            # Before the installation exists again: one that had keys must not be open for a moment.
            await agree(RedisKeyStore(clients.commands, keys), blobs)
            await restored.put_installation(marker.installation_id)
            return marker, logs
    except BlobError as error:
        raise Stop(f"the blob store fails: {error}", exit_code=ExitCode.UNREACHABLE) from None
    finally:
        await blobs.close()


async def _marker(blobs: BlobStore) -> Marker:
    marker = await read_marker(blobs)
    if marker is None:
        raise Stop(
            f"the blob store has no {MARKER_KEY}: nothing says whose blobs these are",
            hint="name the blob store of the installation with MILLSTREAM_BLOBS_URL or MILLSTREAM_DATA_DIR",
            exit_code=ExitCode.CONFIGURATION,
        )
    return marker


async def _read_archive(archive: Archive, blobs: BlobStore, marker: Marker, *, quiet: bool) -> list[RestoredLog]:
    """All of it before anything is put."""
    logs = []
    with event_bars(quiet=quiet) as bars:
        for partition, tag in enumerate(tags(marker.partitions)):
            tell = bar(bars, f"partition {partition}: archive", 0)
            logs.append(
                await read_partition(archive, blobs, partition, tag=tag, installation=marker.installation_id, tell=tell)
            )
    return logs


async def _put_logs(
    settings: Settings, clients: Clients, keys: Keys, archive: Archive, logs: Sequence[RestoredLog]
) -> RedisRestore:
    target = RedisRestore(clients.commands, keys)
    if not await target.begin():
        raise Stop(
            "this Redis holds the log of an installation; restoring would replace it by what was archived of it",
            hint="`millstream replay` makes anew what follows from the log; restore goes into an empty Redis",
            exit_code=ExitCode.CONFIGURATION,
        )
    for one in logs:
        await target.put_log(one)
        await target.put_streams(one.streams)
    log = ArchivedLog(RedisLog(clients.commands, clients.blocking, keys), archive)
    opened = await open_index(settings, clients, keys)
    try:
        await _forget_fences(opened.index, log, logs)
    finally:
        await opened.close()
    return target


async def _forget_fences(index: Index, log: ArchivedLog, logs: Sequence[RestoredLog]) -> None:
    """Attempts that the archive does not know of wrote rows with higher fences than the next ones will have."""
    knowledge_bases = KnowledgeBases(log, clock_us=clock_us)
    for one in logs:
        for stream in one.streams:
            if kind_of(stream) is StreamKind.KNOWLEDGE_BASE:
                for table in await knowledge_bases.tables(KnowledgeBaseId(stream)):
                    await index.forget_fences(table)


async def _project(stores: Stores, *, quiet: bool) -> None:
    views, holder, ended = views_of(stores), process_name("restore"), asyncio.Event()
    ended.set()
    with event_bars(quiet=quiet) as bars:
        for partition in range(stores.log.partitions):
            head = await stores.log.head(partition)
            tell = bar(bars, f"partition {partition}: views", head.number)
            projector = Projector(stores.log, views, partition=partition, holder=holder)
            folded = 0
            while page := await projector.advance():
                folded += page
                tell(Progress(folded, head.number))
            await projector.run(ended)  # gives the lease up


async def _put_work(stores: Stores, kinds: Collection[Kind]) -> int:
    put = 0
    for partition in range(stores.log.partitions):
        found = await rederive(
            stores.log,
            RedisDerived(stores.clients.commands, stores.keys),
            partition,
            kinds,
            clock_ms=lambda: clock_us() // 1_000,
            grace_ms=0,
        )
        put += len(found.differences)
    return put
