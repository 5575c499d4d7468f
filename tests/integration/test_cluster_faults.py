"""A Redis Cluster under traffic: a replica that does not confirm, a master that dies, a slot that moves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from events.envelope import Envelope
from events.errors import LogError, LogUnavailable
from events.keys import Keys, slot_of
from events.log import Appended, Write
from events.redis_batching import Confirmation
from events.redis_clients import Clients
from events.redis_log import RedisLog
from tests.contract.event_log_contract import document_write
from tests.event_samples import indexed, new_document, new_knowledge_base, new_task, write
from tests.servers.redis_cluster_process import ClusterNode, RedisCluster
from tests.waiting import wait_for, wait_until

pytest_plugins = ("tests.servers.redis_cluster",)

PARTITIONS = 6
WRITERS = 12
KEYS = Keys(PARTITIONS)
SLOT = slot_of(KEYS.log(0))
CONFIRMED = Confirmation(replicas=1, wait_ms=300)


@pytest.fixture
def whole_cluster(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Whole again afterwards, for the test that comes next."""
    yield redis_cluster
    for node in redis_cluster.nodes:
        node.come_back()
    redis_cluster.wait_until_whole()


@pytest.fixture
def log(cluster_clients: Clients) -> RedisLog:
    return RedisLog(cluster_clients.commands, cluster_clients.blocking, KEYS, confirmation=CONFIRMED)


async def test_what_no_replica_has_is_not_called_kept_and_is_there_once_when_one_has(
    log: RedisLog, whole_cluster: RedisCluster
) -> None:
    document = new_document()
    asked = document_write(document, 0, indexed())
    replica = whole_cluster.replica_of(whole_cluster.master_of(SLOT))
    replica.pause()
    for _ in range(2):  # the second is a repetition of what the primary has: as little confirmed
        with pytest.raises(LogUnavailable, match="0 replicas confirmed"):
            await log.append([asked])
    replica.go_on()
    found = await _kept(log, asked)
    assert found.is_repeat
    assert [one.version for one in await log.history(document)] == [1]


async def test_a_master_that_dies_under_traffic_loses_nothing_that_was_confirmed(
    log: RedisLog, whole_cluster: RedisCluster
) -> None:
    async with _traffic(log) as traffic:
        await wait_until(lambda: traffic.confirmed > 200, "traffic before the master dies")
        dead = whole_cluster.master_of(SLOT)
        successor = whole_cluster.replica_of(dead)
        dead.kill()
        await wait_until(lambda: successor.is_master(), "the replica takes over", within_s=60)
        before = traffic.confirmed_in(0)
        # Nobody confirms there before the old master follows: the replica has taken over alone.
        dead.start()
        await wait_until(lambda: traffic.confirmed_in(0) > before + 50, "its partition goes on", within_s=60)
    await traffic.assert_everything_is_there_once()


async def test_a_slot_that_moves_under_traffic_takes_every_event_along(
    cluster_clients: Clients, whole_cluster: RedisCluster
) -> None:
    log = RedisLog(cluster_clients.commands, cluster_clients.blocking, KEYS)
    source = whole_cluster.master_of(SLOT)
    target = next(node for node in whole_cluster.masters() if node is not source)
    async with _traffic(log) as traffic:
        await wait_until(lambda: traffic.confirmed_in(0) > 50, "traffic before the slot moves")
        await asyncio.to_thread(_move, whole_cluster, source, target)
        before = traffic.confirmed_in(0)
        await wait_until(lambda: traffic.confirmed_in(0) > before + 50, "its partition goes on", within_s=60)
    await traffic.assert_everything_is_there_once()
    await asyncio.to_thread(_move, whole_cluster, target, source)
    assert whole_cluster.master_of(SLOT) is source
    await traffic.assert_everything_is_there_once()


class _Traffic:
    """Writers that append one event after the other to documents of all partitions, each until it is confirmed."""

    def __init__(self, log: RedisLog) -> None:
        self._log = log
        self._documents: dict[str, int] = {}
        self.stopped = asyncio.Event()

    @property
    def confirmed(self) -> int:
        return sum(self._documents.values())

    def confirmed_in(self, partition: int) -> int:
        return sum(count for document, count in self._documents.items() if document[4:6] == f"{partition:02x}")

    async def go_on(self, number: int) -> None:
        while not self.stopped.is_set():
            partition = number % PARTITIONS
            document, base, task = new_document(partition), new_knowledge_base(partition), new_task(partition)
            for version in range(3):
                if await self._append(write(document, version, indexed(), knowledge_base=base, task=task)):
                    self._documents[document] = version + 1

    async def _append(self, asked: Write) -> bool:
        """False where it was stopped before an answer came."""
        while True:
            try:
                assert isinstance(await self._log.append([asked]), Appended)
            except LogUnavailable:
                if self.stopped.is_set():
                    return False
            else:
                return True

    async def assert_everything_is_there_once(self) -> None:
        lost = [document for document, count in self._documents.items() if await self._versions(document) < count]
        assert lost == []
        entries: list[Envelope] = []
        for partition in range(PARTITIONS):
            after = None
            while page := await self._log.read(partition, after=after):
                entries += [one for one in page if isinstance(one, Envelope)]
                after = page[-1].position
        assert len({one.event_id for one in entries}) == len(entries)
        assert len({(one.stream_id, one.version) for one in entries}) == len(entries)

    async def _versions(self, document: str) -> int:
        return len(await self._log.history(document))


@asynccontextmanager
async def _traffic(log: RedisLog) -> AsyncIterator[_Traffic]:
    traffic = _Traffic(log)
    async with asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(traffic.go_on(number))
        try:
            yield traffic
        finally:
            traffic.stopped.set()


async def _kept(log: RedisLog, asked: Write) -> Appended:
    found: list[Appended] = []

    async def is_kept() -> bool:
        try:
            answer = await log.append([asked])
        except LogError:
            return False
        assert isinstance(answer, Appended)
        found.append(answer)
        return True

    await wait_for(is_kept, "the replica confirms")
    return found[-1]


def _move(cluster: RedisCluster, source: ClusterNode, target: ClusterNode) -> None:
    """As `redis-cli --cluster reshard` does it."""
    source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
    target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", target_id)
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
    for node in (target, source, *cluster.masters()):
        node.ask("CLUSTER", "SETSLOT", SLOT, "NODE", target_id)
