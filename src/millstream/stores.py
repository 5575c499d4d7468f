"""Settings -> the stores that every role stands on: Redis with log and inbox, blobs, index."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import assert_never

import msgspec
import structlog

from blobs.store import CollectableBlobs
from events.epochs import SeenEnds
from events.errors import LogFull, LogUnavailable
from events.ids import IdFactory
from events.keys import Keys
from events.redis_archive import RedisArchive
from events.redis_batching import Confirmation
from events.redis_border import at_the_border
from events.redis_clients import Clients
from events.redis_epochs import RedisEpochs
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from knowledge.index import CollectableIndex
from millstream.blob_location import open_blobs
from millstream.embeddings import Embeddings
from millstream.index_location import OpenIndex, open_index
from millstream.installation import allow_new_form, connect, open_marked, tell_of_risks, unreachable
from millstream.models import Models
from millstream.observing.measured_log import MeasuredLog
from millstream.observing.registry import Registry
from millstream.randomness import pooled_bytes
from millstream.settings import Settings
from projections.archive_reader import Archive
from projections.history import ArchivedLog
from projections.redis_views import RedisViews


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What a role works with; `log` reads on in the archive, `index_told` says where the index is and who may write;
    `is_index_server`, whether it may be away while all else answers.

    `seen` is what this process knows to be in the log, `epochs` what it raises where that is lost.

    `figures` are what this process counts of itself.
    `secret` signs cursors and is the same in every process of an installation.
    """

    settings: Settings
    clients: Clients
    keys: Keys
    log: ArchivedLog
    seen: SeenEnds
    epochs: RedisEpochs
    archive: Archive
    inbox: RedisInbox
    blobs: CollectableBlobs
    index: CollectableIndex
    index_told: str
    is_index_server: bool
    embeddings: Embeddings
    models: Models
    ids: IdFactory
    figures: Registry
    secret: bytes


def clock_us() -> int:
    """Unix time, microseconds."""
    return time.time_ns() // 1_000


def views_of(stores: Stores) -> RedisViews:
    """The read models of the installation."""
    return RedisViews(stores.clients.commands, stores.keys, makes_leaves=stores.settings.list_leaves)


@asynccontextmanager
async def open_stores(settings: Settings, *, appends: bool = True) -> AsyncIterator[Stores]:
    """Connects, checks that nothing would be lost, and closes at the end. Without `appends` no event is written, and
    older programs are left their format. Raises Stop that says what to do."""
    models, embeddings = Models(settings), Embeddings(settings)
    clients = connect(settings)
    blobs = open_blobs(settings)
    opened: OpenIndex | None = None
    try:
        keys = await open_marked(settings, clients, blobs)
        by_name = settings.events_by_name or not appends
        if not by_name:
            await allow_new_form(settings, clients, keys)
        opened = await open_index(settings, clients, keys)
        figures = Registry()
        archive = Archive(RedisArchive(clients.commands, keys), blobs)
        seen = SeenEnds(time.monotonic)
        yield Stores(
            settings=settings,
            clients=clients,
            keys=keys,
            log=ArchivedLog(MeasuredLog(_log(settings, clients, keys, seen, by_name=by_name), figures), archive),
            seen=seen,
            epochs=RedisEpochs(clients.commands, keys),
            archive=archive,
            inbox=RedisInbox(clients.commands, clients.blocking, keys),
            blobs=blobs,
            index=opened.index,
            index_told=opened.told,
            is_index_server=opened.is_server,
            embeddings=embeddings,
            models=models,
            ids=IdFactory(lambda: time.time_ns() // 1_000_000, pooled_bytes),
            figures=figures,
            secret=await _secret(settings, clients, keys),
        )
    finally:
        await models.close()
        await embeddings.close()
        if opened is not None:
            await opened.close()
        await blobs.close()
        await clients.aclose()


async def tell_at_start(stores: Stores) -> None:
    """Lines for whoever reads the log of a role that searches or indexes."""
    await tell_of_risks(stores.clients)
    structlog.get_logger().info("index_opened", index=stores.index_told)


async def _secret(settings: Settings, clients: Clients, keys: Keys) -> bytes:
    """Written at the first start alone: a Redis whose memory is full still lets every role start. Raises Stop."""
    try:
        with at_the_border():
            found = await clients.commands.hget(keys.installation, "secret")
            if found is None:
                await clients.commands.hsetnx(keys.installation, "secret", token_hex(32))
                found = await clients.commands.hget(keys.installation, "secret")
    except (LogUnavailable, LogFull) as error:
        raise unreachable(settings, error) from None
    assert isinstance(found, bytes)  # noqa: S101  set above, if not long ago
    return found


def needs_replica(settings: Settings) -> bool:
    """Whether an event counts as kept only when a replica has it too."""
    match settings.confirm:
        case "primary":
            return False
        case "replica":
            return True
        case _:
            assert_never(settings.confirm)


def _log(settings: Settings, clients: Clients, keys: Keys, seen: SeenEnds, *, by_name: bool) -> RedisLog:
    confirmation = Confirmation(replicas=1, wait_ms=settings.confirm_ms_max) if needs_replica(settings) else None
    return RedisLog(
        clients.commands,
        clients.blocking,
        keys,
        confirmation=confirmation,
        seen=seen,
        writes_by_name=by_name,
    )
