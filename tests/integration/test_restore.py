"""A Redis that lost everything is brought back from its archive: numbers, places, versions, views and work."""

import pytest

from blobs.memory import MemoryBlobStore
from domain import commands as c
from events.envelope import Envelope
from events.errors import SegmentDamaged
from events.ids import DocumentId
from events.keys import Keys, tags
from events.redis_archive import RedisArchive
from events.redis_clients import Clients
from events.redis_derived import RedisDerived
from events.redis_log import RedisLog
from events.redis_restore import RedisRestore, note_marked, stored_installation
from events.restored import RestoredLog
from events.steps import Step
from projections.archive_first import ArchiveFirst
from projections.archive_reader import Archive
from projections.archiver import Archiver, ArchiveSettings
from projections.history import ArchivedLog
from projections.projection import TABLES
from projections.rederive import Kind, Rederived, rederive
from projections.redis_views import RedisViews
from projections.restore import read_partition
from projections.verify import verify
from tests.projecting import project
from tests.waiting import wait_for
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)

PARTITIONS = 2
INSTALLATION = "0123456789abcdef"


class World:
    def __init__(self, clients: Clients, blobs: MemoryBlobStore) -> None:
        self.clients = clients
        self.blobs = blobs
        self.keys = Keys(PARTITIONS)
        self.store = RedisArchive(clients.commands, self.keys)
        self.archive = Archive(self.store, blobs)
        self.hot = RedisLog(clients.commands, clients.blocking, self.keys)
        self.log = ArchivedLog(self.hot, self.archive)
        self.views = RedisViews(clients.commands, self.keys)
        self.derived = RedisDerived(clients.commands, self.keys)
        self.workshop = Workshop(self.log)

    async def archive_all(self) -> None:
        await project(self.log, self.views)
        for partition in range(PARTITIONS):
            await wait_for(lambda partition=partition: self._is_old(partition), "the last event is old enough")  # type: ignore[misc]
            settings = ArchiveSettings(retention_s=0, after_s=0, segment_events_max=20)
            archiver = Archiver(self.store, self.blobs, partition=partition, holder="a", settings=settings)
            await archiver.advance(everything=True)

    async def restore(self) -> list[RestoredLog]:
        target = RedisRestore(self.clients.commands, self.keys)
        found = [
            await read_partition(self.archive, self.blobs, partition, tag=tag, installation=INSTALLATION)
            for partition, tag in enumerate(tags(PARTITIONS))
        ]
        assert await target.begin()
        for one in found:
            await target.put_log(one)
            await target.put_streams(one.streams)
        await target.put_installation(INSTALLATION)
        return found

    async def rederive(self, partition: int, *, repairs: bool = True) -> Rederived:
        return await rederive(
            self.log, self.derived, partition, list(Kind), clock_ms=lambda: 1, grace_ms=0, repairs=repairs
        )

    async def events(self, partition: int) -> list[Envelope]:
        found: list[Envelope] = []
        while page := await self.log.read(partition, after=found[-1].position if found else None):
            found += [one for one in page if isinstance(one, Envelope)]
        return found

    async def rows(self) -> dict[tuple[int, str, str], bytes]:
        return {
            (partition, table.name, row_id): row
            for partition in range(PARTITIONS)
            for table in TABLES
            async for row_id, row in self.views.scan_rows(partition, 1, table)
        }

    async def _is_old(self, partition: int) -> bool:
        state = await self.store.state(partition)
        return state.head.position is None or state.now_ms > state.head.position.ms


@pytest.fixture
async def world(redis_clients: Clients) -> World:
    world = World(redis_clients, MemoryBlobStore())
    await RedisRestore(redis_clients.commands, world.keys).put_installation(INSTALLATION)
    return world


async def live(world: World) -> list[DocumentId]:
    """One task that ended, one in the middle, one that failed, in both partitions; answers the open documents."""
    opened: list[DocumentId] = []
    for partition in range(PARTITIONS):
        base = await world.workshop.create(partition=partition)
        await world.workshop.through(base, 2)
        _, (running, waiting) = await world.workshop.submit(base, 2)
        await world.workshop.parse(running)
        _, (failed,) = await world.workshop.submit(base)
        await world.workshop.fail(failed)
        opened += [running, waiting]
    return opened


def bare(envelopes: list[Envelope]) -> list[tuple[object, ...]]:
    """Everything but the epoch."""
    return [
        (one.number, one.position and one.position.entry_id, one.event_id, one.stream_id, one.version, one.event)
        for one in envelopes
    ]


async def test_everything_that_was_archived_comes_back_with_its_numbers_places_and_versions(world: World) -> None:
    opened = await live(world)
    await world.archive_all()
    before = [bare(await world.events(partition)) for partition in range(PARTITIONS)]
    rows = await world.rows()
    errands = [await world.derived.errands(partition) for partition in range(PARTITIONS)]
    ends = [await world.log.head(partition) for partition in range(PARTITIONS)]

    await world.clients.commands.flushall()
    world = World(world.clients, world.blobs)
    restored = await world.restore()

    assert [one.events for one in restored] == [head.number for head in ends]
    heads = [await world.log.head(partition) for partition in range(PARTITIONS)]
    assert [(one.number, one.epoch) for one in heads] == [(one.number, 2) for one in ends]
    assert [bare(await world.events(partition)) for partition in range(PARTITIONS)] == before
    assert await world.log.versions(opened) == [3, 1, 3, 1]
    assert len(await world.log.history(opened[0])) == 3
    await project(world.log, world.views)
    assert await world.rows() == rows
    for partition in range(PARTITIONS):
        await world.rederive(partition)
        again = await world.derived.errands(partition)
        assert again <= errands[partition]
        assert {one.stream_id for one in again} >= {one for one in opened if one.startswith(f"doc_{partition:02x}")}
        assert (await world.rederive(partition, repairs=False)).differences == ()
        assert (await verify(world.log, world.views, partition, holder="v")).differences == ()


async def test_what_is_appended_afterwards_goes_on_behind_what_came_back(world: World) -> None:
    opened = await live(world)
    await world.archive_all()
    await world.clients.commands.flushall()
    world = World(world.clients, world.blobs)
    (restored, _) = await world.restore()
    await world.workshop.work(opened[0], c.CancelDocument(reason="enough"))
    history = await world.log.history(opened[0])
    assert [one.version for one in history] == [1, 2, 3, 4]
    last = history[-1]
    assert last.number == restored.events + 1
    assert last.position is not None
    assert last.position.epoch == 2
    assert last.position > restored.segments[-1].last
    stale = [await world.log.history(opened[1])]
    assert [one.version for one in stale[0]] == [1]
    await world.archive_all()
    assert await world.log.verify(0) == []
    assert len(await world.events(0)) == restored.events + 1


async def test_a_write_with_an_old_version_meets_a_conflict_after_the_restore(world: World) -> None:
    await live(world)
    base = await world.workshop.create(partition=0)
    task, (document,) = await world.workshop.submit(base)
    await world.archive_all()
    await world.clients.commands.flushall()
    world = World(world.clients, world.blobs)
    await world.restore()
    assert await world.log.versions([base, task, document]) == [1, 1, 1]
    assert await world.workshop.work(document, c.StartStep(step=Step.PARSE, attempt=1, worker="w")) == 1
    assert await world.log.versions([document]) == [2]


async def test_a_damaged_or_missing_segment_stops_the_restore_and_nothing_is_put(world: World) -> None:
    await live(world)
    await world.archive_all()
    await world.clients.commands.flushall()
    keys = [info.key async for info in world.blobs.list("archive/")]
    (first, second, *_) = sorted(keys)
    sound = await world.blobs.get(second)
    for damaged in (sound[:-1], sound[:100] + bytes([sound[100] ^ 1]) + sound[101:], sound + b"x"):
        await world.blobs.put(second, damaged)
        with pytest.raises(SegmentDamaged, match=second):
            await World(world.clients, world.blobs).restore()
    await world.blobs.put(second, sound)
    await world.blobs.delete(first)
    with pytest.raises(SegmentDamaged, match=second):
        await World(world.clients, world.blobs).restore()
    assert await world.clients.commands.dbsize() == 0


async def test_a_segment_of_another_installation_is_refused(world: World) -> None:
    await live(world)
    await world.archive_all()
    archive = Archive(world.store, world.blobs)
    with pytest.raises(SegmentDamaged, match="belongs to"):
        await read_partition(archive, world.blobs, 0, tag=tags(PARTITIONS)[0], installation="another")


async def test_a_restore_that_was_broken_off_begins_again_and_a_living_log_is_left_alone(world: World) -> None:
    await live(world)
    target = RedisRestore(world.clients.commands, world.keys)
    assert not await target.begin()
    assert len(await world.events(0)) > 0
    await world.clients.commands.delete(world.keys.installation)
    assert not await target.begin(), "the key of the installation is lost, its log is not"
    await world.clients.commands.flushall()
    assert await target.begin()
    assert await stored_installation(world.clients.commands) is None
    await world.clients.commands.xadd(world.keys.log(0), {"e": "half"})
    assert await target.begin()
    assert await world.clients.commands.exists(world.keys.log(0)) == 0


async def test_an_installation_remembers_whether_its_blobs_were_marked(world: World) -> None:
    await world.clients.commands.flushall()
    await world.clients.commands.hset(world.keys.installation, mapping={"id": "x"})
    found = await stored_installation(world.clients.commands)
    assert found is not None
    assert (found.installation_id, found.is_marked) == ("x", False)
    await note_marked(world.clients.commands, world.keys)
    found = await stored_installation(world.clients.commands)
    assert found is not None
    assert found.is_marked


async def test_a_replay_from_the_archive_reads_what_the_log_still_holds_from_the_segments(world: World) -> None:
    await live(world)
    await project(world.log, world.views)
    await world.archive_all()
    plain = [bare(await world.events(partition)) for partition in range(PARTITIONS)]
    world.log = ArchiveFirst(world.hot, Archive(world.store, world.blobs))
    await world.workshop.create(partition=0)
    found = bare(await world.events(0))
    assert found[:-1] == plain[0]
    assert len(found) == len(plain[0]) + 1
