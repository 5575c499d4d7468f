"""A Redis Cluster under traffic: a replica that does not confirm, a master that dies, a slot that moves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from events.envelope import Envelope
from events.errors import LogError, LogUnavailable
from events.keys import Keys, slot_of
from events.log import Appended, Write
from events.redis_batching import Confirmation
from events.redis_clients import Clients
from events.redis_log import RedisLog
from projections.feed import Change
from projections.projection import DOCUMENTS, RowKey, member
from projections.redis_views import RedisViews
from projections.views import IndexChange, Lease, Page
from tests.contract.event_log_contract import document_write
from tests.contract.view_store_contract import LEASE_MS, commit, following
from tests.event_samples import indexed, new_document, new_knowledge_base, new_task, write
from tests.servers.redis_cluster_process import ClusterNode, RedisCluster
from tests.waiting import wait_for, wait_until

pytest_plugins = ("tests.servers.redis_cluster",)

T = TypeVar("T")

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


@pytest.mark.parametrize("leaves_go_first", [True, False])
async def test_while_a_slot_moves_nothing_is_written_to_a_part_of_a_long_list_nor_shown_of_it(
    cluster_clients: Clients, whole_cluster: RedisCluster, leaves_go_first: bool
) -> None:
    views = RedisViews(cluster_clients.commands, KEYS)
    held = await views.acquire(0, 1, holder="one", lease_ms=LEASE_MS)
    assert isinstance(held, Lease)
    ids = [f"doc_00{'0' * 12}70008{n:015x}" for n in range(300)]
    members = tuple(member(1_700_000_000_000_000 + n, one) for n, one in enumerate(ids))
    rows = {RowKey(DOCUMENTS, one): b"row" for one in ids}
    told = (Change(ids[0], new_knowledge_base(0), new_task(0), 1),)  # so that each key that a commit declares is there
    first = commit(held, 1, rows=rows, indexes=(IndexChange("long", (), members),), changes=told)
    assert await views.commit(first)
    second = commit(following(held, first), 2, indexes=(IndexChange("long", members[:50], ()),), changes=told)

    source = whole_cluster.master_of(SLOT)
    target = next(node for node in whole_cluster.masters() if node is not source)

    def refused() -> int:
        said = [node.says("errorstats").get("errorstat_TRYAGAIN", {}) for node in (source, target)]
        return sum(int(one.get("count", 0)) for one in said)

    before = refused()
    await asyncio.to_thread(_begin_to_move, source, target, leaves_go_first)
    async with asyncio.TaskGroup() as calls:
        committed = calls.create_task(_answered(lambda: views.commit(second)))
        await wait_until(lambda: refused() > before or committed.done(), "the commit is refused, or made")
        before = refused()
        page = calls.create_task(_answered(lambda: _page_across(views)))
        await wait_until(lambda: refused() > before + 20 or page.done(), "both are refused, or made")
        await asyncio.to_thread(_move, whole_cluster, source, target)
    assert await committed
    assert (await views.members(0, 1, "long")) == members[50:]
    assert [one.member for one in (await page).rows] == list(members[:-201:-1])
    await asyncio.to_thread(_move, whole_cluster, target, source)


async def _page_across(views: RedisViews) -> Page:
    return await views.page(0, "long", DOCUMENTS, after=None, limit=200, newest_first=True)


async def _answered(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except LogUnavailable:
            continue


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


def _begin_to_move(source: ClusterNode, target: ClusterNode, leaves_go_first: bool) -> None:
    """The leaves of lists lie with one of them then, all else with the other."""
    source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
    target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", target_id)
    for key in source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 1_000):
        if (":leaf:" in key or ":leaves:" in key) is leaves_go_first:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", key)


def _move(cluster: RedisCluster, source: ClusterNode, target: ClusterNode) -> None:
    """As `redis-cli --cluster reshard` does it."""
    source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
    target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", target_id)
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
    for node in (target, source, *cluster.masters()):
        node.ask("CLUSTER", "SETSLOT", SLOT, "NODE", target_id)
