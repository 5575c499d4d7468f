"""Settings -> the stores that every role stands on: Redis with log and inbox, blobs, index."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_bytes, token_hex
from urllib.parse import unquote, urlsplit

import msgspec

from blobs.local import LocalBlobStore
from blobs.store import CollectableBlobs
from events.errors import LogFull, LogUnavailable
from events.ids import IdFactory
from events.keys import Keys
from events.redis_border import at_the_border
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from events.redis_setup import Clients
from knowledge.lance_index import LanceIndex
from millstream.embeddings import Embeddings
from millstream.errors import ExitCode, Stop
from millstream.installation import connect, open_keys, unreachable
from millstream.settings import Settings

S3_CONNECT_S_MAX = 5.0
"""Or less, where a whole call may take less."""


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What a role works with; `secret` signs cursors and is the same in every process of an installation."""

    settings: Settings
    clients: Clients
    keys: Keys
    log: RedisLog
    inbox: RedisInbox
    blobs: CollectableBlobs
    index: LanceIndex
    embeddings: Embeddings
    ids: IdFactory
    secret: bytes


def clock_us() -> int:
    """Unix time, microseconds."""
    return time.time_ns() // 1_000


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Connects, checks that nothing would be lost, and closes at the end. Raises Stop that says what to do."""
    clients = connect(settings)
    blobs = open_blobs(settings)
    index = LanceIndex(index_location(settings))
    embeddings = Embeddings(settings)
    try:
        keys = await open_keys(settings, clients)
        yield Stores(
            settings=settings,
            clients=clients,
            keys=keys,
            log=RedisLog(clients.commands, clients.blocking, keys),
            inbox=RedisInbox(clients.commands, clients.blocking, keys),
            blobs=blobs,
            index=index,
            embeddings=embeddings,
            ids=IdFactory(lambda: time.time_ns() // 1_000_000, token_bytes),
            secret=await _secret(settings, clients, keys),
        )
    finally:
        await embeddings.close()
        await index.close()
        await blobs.close()
        await clients.aclose()


def open_blobs(settings: Settings) -> CollectableBlobs:
    """The blob store that the settings name; nothing is connected yet. Raises Stop."""
    url = urlsplit(settings.blobs_url)
    match url.scheme:
        case "":
            return LocalBlobStore(Path(settings.blobs_url) if settings.blobs_url else settings.data_path / "blobs")
        case "file":
            return LocalBlobStore(Path(unquote(url.path)))
        case "s3":
            from blobs.s3 import S3BlobStore
            from blobs.s3_settings import S3Settings

            return S3BlobStore(
                S3Settings(
                    bucket=url.netloc,
                    prefix=url.path.strip("/"),
                    endpoint_url=settings.s3_endpoint_url or None,
                    region=settings.s3_region or "us-east-1",
                    access_key=settings.s3_access_key or None,
                    secret_key=settings.s3_secret_key or None,
                    call_timeout_s=settings.s3_call_s_max,
                    read_timeout_s=settings.s3_call_s_max,
                    connect_timeout_s=min(S3_CONNECT_S_MAX, settings.s3_call_s_max),
                )
            )
        case other:
            raise Stop(
                f"MILLSTREAM_BLOBS_URL cannot begin with {other}:",
                hint="use file:///path or s3://bucket/prefix",
                exit_code=ExitCode.CONFIGURATION,
            )


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
