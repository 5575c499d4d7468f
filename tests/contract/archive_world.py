"""A log with its archive, on whatever stores a test gives it: one world for memory, one for Redis."""

import asyncio
from typing import Any, Protocol, Self

import msgspec

from blobs.store import BlobStore
from events.archive import ArchiveStore
from events.envelope import Envelope, Position
from events.log import Unreadable
from events.memory import MemoryLog
from events.memory_archive import MemoryArchive
from events.redis_archive import RedisArchive
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_log import RedisLog
from projections.archive_reader import Archive
from projections.archiver import Archived, Archiver, ArchiveSettings
from projections.history import ArchivedLog
from tests.contract.log_world import LogWorld, MemoryWorld, RedisWorld

INSTALLATION = "0123456789abcdef"


class ArchiveWorld(Protocol):
    """What the suite needs of an implementation; `plain` is the log without its archive."""

    plain: LogWorld
    store: ArchiveStore
    blobs: BlobStore
    log: ArchivedLog

    async def project(self, number: int, *, partition: int = 0) -> None:
        """Says that the live views stand at this event."""
        ...


class MemoryArchiveWorld:
    """The reference."""

    def __init__(self, blobs: BlobStore) -> None:
        self._numbers: dict[int, int] = {}
        plain = MemoryWorld()
        assert isinstance(plain.log, MemoryLog)
        self.plain: LogWorld = plain
        self.store: ArchiveStore = MemoryArchive(plain.log, lambda partition: self._numbers.get(partition, 0))
        self.blobs = blobs
        self.log = ArchivedLog(plain.log, Archive(self.store, blobs))

    async def project(self, number: int, *, partition: int = 0) -> None:
        self._numbers[partition] = number


class RedisArchiveWorld:
    """The real server."""

    def __init__(self, clients: Clients, blobs: BlobStore) -> None:
        self._client = clients.commands
        redis = RedisWorld(clients)
        assert isinstance(redis.log, RedisLog)
        self.keys = redis.keys
        self.plain: LogWorld = redis
        self.store: ArchiveStore = RedisArchive(clients.commands, redis.keys)
        self.blobs = blobs
        self.log = ArchivedLog(redis.log, Archive(self.store, blobs))

    @classmethod
    async def begun(cls, clients: Clients, blobs: BlobStore) -> Self:
        """With an installation, as every archive has one."""
        world = cls(clients, blobs)
        await execute(clients.commands, "HSET", world.keys.installation, "id", INSTALLATION)
        return world

    async def project(self, number: int, *, partition: int = 0) -> None:
        await execute(self._client, "HSET", self.keys.checkpoint(partition, 1), "number", number)


def fresh(world: ArchiveWorld) -> ArchivedLog:
    """Another process's view: nothing is kept from earlier reads."""
    return ArchivedLog(world.plain.log, Archive(world.store, world.blobs))


def archiver(world: ArchiveWorld, *, holder: str = "archiver", partition: int = 0, **settings: Any) -> Archiver:
    return Archiver(
        world.store,
        world.blobs,
        partition=partition,
        holder=holder,
        settings=msgspec.structs.replace(ArchiveSettings(retention_s=0, after_s=0), **settings),
    )


async def settle(world: ArchiveWorld, *, partition: int = 0) -> None:
    """Until the store's clock is past the last event: what was appended in this very millisecond is not old yet."""
    await world.plain.pass_time(1)
    async with asyncio.timeout(20):
        while True:
            state = await world.store.state(partition)
            if state.head.position is None or state.now_ms > state.head.position.ms:
                return


async def archive_all(world: ArchiveWorld, *, partition: int = 0, **settings: Any) -> Archived:
    """Everything is archived, and trimmed where nothing but the views could hold it."""
    head = await world.log.head(partition)
    await world.project(head.number, partition=partition)
    await settle(world, partition=partition)
    done = await archiver(world, partition=partition, **settings).advance(everything=True)
    assert done is not None
    return done


async def read_all(log: ArchivedLog, *, partition: int = 0, limit: int = 1_000) -> list[Envelope | Unreadable]:
    """Page after page, as a projector does."""
    found: list[Envelope | Unreadable] = []
    after: Position | None = None
    while page := await log.read(partition, after=after, limit=limit):
        found += page
        after = page[-1].position
    return found
