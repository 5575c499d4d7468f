"""`millstream doctor`: looks at everything that the service stands on."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from domain.amounts import counted
from millstream.errors import Stop
from millstream.roles import check_binding
from millstream.settings import Settings

if TYPE_CHECKING:
    from blobs.s3_settings import S3Settings
    from millstream.index_location import Comparer
    from millstream.qdrant_location import QdrantPlace

CHECK_S_MAX = 15.0
DISK_BYTES_MIN = 1_073_741_824
"""Below 1 GiB free the next large upload or rewrite of the append-only file may fail."""
FILES_OPEN_MIN = 1_024
MISFITS_SHOWN_MAX = 5


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at; `advice` says what to do where it is not good."""

    subject: str
    is_good: bool
    detail: str
    advice: str = ""


async def examine(settings: Settings, *, create_bucket: bool = False) -> list[Finding]:
    """Every check, each within 15 s. Empty folders of the data directory are made, and the bucket where asked."""
    findings = [_python(), _open_files(), _binding(settings)]
    # Ahead of the others: LlamaIndex and LanceDB must not be imported by two threads at the same time.
    findings.append(await _within_limit("embedding", lambda: _embedding(settings)))
    findings += [_disk(settings), *([] if settings.redis_url else [_embedded(settings)])]
    if not settings.redis_url:
        findings.append(_port(settings))
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        *([("redis", lambda: _redis(settings))] if settings.redis_url else []),
        ("blobs", lambda: _blobs(settings, create_bucket=create_bucket)),
        ("index", lambda: _index(settings, create_bucket=create_bucket)),
        ("door", lambda: _door(settings)),
        ("knowledge bases", lambda: _knowledge_bases(settings)),
        ("views", lambda: _views(settings)),
    ]
    findings += await asyncio.gather(*(_within_limit(subject, check) for subject, check in checks))
    # Behind the others: their imports hold up the loop, and the time that a parser takes to start would pass in it.
    findings.append(await _within_limit("parsers", lambda: _parsers(settings)))
    return findings


async def _within_limit(subject: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(subject, True, await asyncio.wait_for(check(), CHECK_S_MAX))
    except Stop as stop:
        return Finding(subject, False, stop.what, stop.hint)
    except TimeoutError:
        return Finding(subject, False, f"no answer within {CHECK_S_MAX:.0f} s")
    except Exception as error:
        return Finding(subject, False, f"{type(error).__name__}: {error}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    is_good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("python", is_good, version, "" if is_good else "use Python 3.11, 3.12 or 3.13")


def _open_files() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_good = soft >= FILES_OPEN_MIN
    return Finding("open files", is_good, f"limit {soft}", "" if is_good else f"raise it: ulimit -n {FILES_OPEN_MIN}")


def _binding(settings: Settings) -> Finding:
    try:
        check_binding(settings)
    except Stop as stop:
        return Finding("binding", False, stop.what, stop.hint)
    return Finding("binding", True, f"{settings.host}:{settings.port}")


def _disk(settings: Settings) -> Finding:
    path = settings.data_path
    while not path.exists():
        path = path.parent
    if not os.access(path, os.W_OK):
        return Finding("data", False, f"{path} cannot be written", "choose another folder with MILLSTREAM_DATA_DIR")
    free = shutil.disk_usage(path).free
    is_good = free >= DISK_BYTES_MIN
    return Finding(
        "data",
        is_good,
        f"{settings.data_path}, {free / 1_073_741_824:.1f} GiB free",
        "" if is_good else "make room, or choose another folder with MILLSTREAM_DATA_DIR",
    )


def _embedded(settings: Settings) -> Finding:
    from millstream.embedded import redis_server_binary

    try:
        binary = redis_server_binary()
    except Stop as stop:
        return Finding("redis", False, stop.what, stop.hint)
    return Finding("redis", True, f"embedded: {binary.name}, data in {settings.data_path / 'redis'}")


def _port(settings: Settings) -> Finding:
    try:
        with socket.create_connection((settings.host, settings.port), timeout=1):
            return Finding("port", True, f"{settings.port} answers: a service is running there")
    except OSError:
        return Finding("port", True, f"{settings.port} is free")


async def _embedding(settings: Settings) -> str:
    from millstream.embedding_check import check_embedding

    return await check_embedding(settings)


async def _parsers(settings: Settings) -> str:
    from millstream.parser_pool import check_parsers

    return await check_parsers(settings)


async def _redis(settings: Settings) -> str:
    from events.redis_log import RedisLog
    from events.redis_replicas import primaries
    from events.redis_setup import fsync_policy
    from events.replicas import halted
    from millstream.stores import needs_replica, open_stores

    async with open_stores(settings, appends=False) as stores:
        policy = await fsync_policy(stores.clients.commands)
        loss = "" if policy == "always" else " (a power cut may lose the last second: `appendfsync always`)"
        log = RedisLog(stores.clients.commands, stores.clients.blocking, stores.keys)
        found = await primaries(stores.clients.commands, stores.keys)
        if standing_still := halted(found, needs_replica=needs_replica(settings)):
            raise Stop(
                "; ".join(one.what for one in standing_still),
                hint="start its replica, or add one; all goes on by itself, and nothing that was accepted is lost",
            )
        failed = sum([await log.dead_letters(partition) for partition in range(log.partitions)])
        partitions, letters = counted(log.partitions, "partition"), counted(failed, "dead letter")
        return f"{partitions}, appendfsync {policy or 'unknown'}{loss}, {letters}"


async def _knowledge_bases(settings: Settings) -> str:
    from millstream.bootstrap import lists_of
    from millstream.embedding_misfits import misfits
    from millstream.running import NotAsked, where_it_runs
    from millstream.stores import open_stores

    try:
        async with open_stores(await where_it_runs(settings), appends=False) as stores:
            found = await misfits(lists_of(stores), stores.embeddings)
    except NotAsked as why:
        return str(why)
    except Stop as stop:
        return f"not looked at; {stop.what}"  # told under what does not answer
    if found:
        names = "; ".join(f"{one.name} ({one.knowledge_base_id}): {one.reason}" for one in found[:MISFITS_SHOWN_MAX])
        raise Stop(
            f"{len(found):,} cannot be searched by meaning: {names}",
            hint="undo the change of the embedding settings, or `millstream kb reindex` by another model",
        )
    return "the settings make vectors for all of them"


async def _views(settings: Settings) -> str:
    from millstream.views_check import check_views

    return await check_views(settings)


async def _door(settings: Settings) -> str:
    from millstream.admission.door_check import check_door
    from millstream.admission.redis_key_store import RedisKeyStore
    from millstream.running import NotAsked, asking

    try:
        async with asking(settings) as running:
            return await check_door(settings, RedisKeyStore(running.clients.commands, running.keys), running.blobs)
    except NotAsked as why:
        return f"keys: {settings.auth}; {why}"


async def _blobs(settings: Settings, *, create_bucket: bool) -> str:
    from millstream.blob_location import open_blobs

    blobs = open_blobs(settings)
    try:
        if create_bucket:
            from blobs.s3 import S3BlobStore

            if isinstance(blobs, S3BlobStore):
                await blobs.create_bucket()
        await blobs.check()
    finally:
        await blobs.close()
    return settings.blobs_url or str(settings.data_path / "blobs")


async def _index(settings: Settings, *, create_bucket: bool) -> str:
    from knowledge.lance_index import LanceIndex
    from millstream.index_location import Comparer, describe, lance_options, locate_index

    location, comparer, options = locate_index(settings), Comparer.DIRECTORY, None
    if location.qdrant is not None:
        return await _qdrant(settings, location.qdrant)
    if location.bucket is not None:
        options = lance_options(location.bucket)
        comparer = await _bucket_of_index(location.bucket, create_bucket=create_bucket)
        if settings.index_commits == "redis":
            comparer = Comparer.REDIS
    index = LanceIndex(location.uri, storage_options=options)
    try:
        await index.check()
    finally:
        await index.close()
    return describe(location, comparer)


async def _qdrant(settings: Settings, place: "QdrantPlace") -> str:
    from knowledge.errors import IndexRefused, IndexUnavailable
    from millstream.qdrant_location import make_qdrant_index

    index = await make_qdrant_index(settings, place)
    try:
        version = await index.version()
    except IndexRefused as error:
        raise Stop(str(error), hint="documents wait and searches fail until that is put right") from None
    except IndexUnavailable as error:
        raise Stop(str(error), hint=f"is Qdrant running at {place.url}? set MILLSTREAM_INDEX_URL") from None
    finally:
        await index.close()
    is_open = place.url.startswith("http://") and bool(settings.qdrant_api_key)
    return f"{place.uri}, Qdrant {version}" + (" (the key goes over plain HTTP: use qdrant+https)" if is_open else "")


async def _bucket_of_index(bucket: "S3Settings", *, create_bucket: bool) -> "Comparer":
    """Whether it can be written to, and who has to compare commits there."""
    from millstream.index_location import Comparer
    from millstream.index_manifests import BucketManifests

    manifests = BucketManifests(bucket)
    try:
        if create_bucket:
            await manifests.create_bucket()
        await manifests.check()
        return Comparer.SERVER if await manifests.server_compares() else Comparer.REDIS
    finally:
        await manifests.close()
