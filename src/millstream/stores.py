"""Settings -> the stores that every role stands on: Redis with log and inbox, blobs, index."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes, token_hex

import msgspec

from blobs.store import CollectableBlobs
from events.errors import LogFull, LogUnavailable
from events.ids import IdFactory
from events.keys import Keys
from events.redis_archive import RedisArchive
from events.redis_border import at_the_border
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from events.redis_setup import Clients
from knowledge.lance_index import LanceIndex
from millstream.blob_location import open_blobs
from millstream.embeddings import Embeddings
from millstream.installation import connect, open_marked, unreachable
from millstream.models import Models
from millstream.settings import Settings
from projections.archive_reader import Archive
from projections.history import ArchivedLog


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What a role works with; `log` reads on in the archive.

    `secret` signs cursors and is the same in every process of an installation.
    """

    settings: Settings
    clients: Clients
    keys: Keys
    log: ArchivedLog
    archive: Archive
    inbox: RedisInbox
    blobs: CollectableBlobs
    index: LanceIndex
    embeddings: Embeddings
    models: Models
    ids: IdFactory
    secret: bytes


def clock_us() -> int:
    """Unix time, microseconds."""
    return time.time_ns() // 1_000


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Connects, checks that nothing would be lost, and closes at the end. Raises Stop that says what to do."""
    models, embeddings = Models(settings), Embeddings(settings)
    clients = connect(settings)
    blobs = open_blobs(settings)
    index = LanceIndex(index_location(settings))
    try:
        keys = await open_marked(settings, clients, blobs)
        archive = Archive(RedisArchive(clients.commands, keys), blobs)
        yield Stores(
            settings=settings,
            clients=clients,
            keys=keys,
            log=ArchivedLog(RedisLog(clients.commands, clients.blocking, keys), archive),
            archive=archive,
            inbox=RedisInbox(clients.commands, clients.blocking, keys),
            blobs=blobs,
            index=index,
            embeddings=embeddings,
            models=models,
            ids=IdFactory(lambda: time.time_ns() // 1_000_000, token_bytes),
            secret=await _secret(settings, clients, keys),
        )
    finally:
        await models.close()
        await embeddings.close()
        await index.close()
        await blobs.close()
        await clients.aclose()


def index_location(settings: Settings) -> str:
    """The directory of the search index."""
    return settings.index_url or str(settings.data_path / "index")


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
