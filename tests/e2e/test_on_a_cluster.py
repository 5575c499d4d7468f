"""The whole service on a Redis Cluster: from upload to search, while a master dies."""

from collections.abc import Iterator

import httpx
import pytest

from domain.status import DocumentPhase
from events.ids import partition_of
from events.keys import Keys, slot_of
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.e2e.test_restore import command
from tests.servers.redis_cluster_process import RedisCluster
from tests.servers.service_process import ServiceProcess, service_on
from tests.waiting import poll

pytest_plugins = ("tests.servers.redis_cluster",)

PARTITIONS = 8
"""The default."""

PAPERS = 6


@pytest.fixture(scope="module")
def service(redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    for node in redis_cluster.masters():
        node.ask("FLUSHALL")  # other modules leave their installation there
    variables = {
        "MILLSTREAM_REDIS_URL": redis_cluster.url,
        "MILLSTREAM_WORKERS": "1",
        "MILLSTREAM_EMBEDDING": "hash",
        "MILLSTREAM_CONFIRM": "replica",
    }
    with service_on(tmp_path_factory.mktemp("cluster") / "data", variables) as started:
        yield started


@pytest.fixture
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as api:
        yield api


def base_in_every_partition(api: Api) -> dict[int, str]:
    bases: dict[int, str] = {}
    for number in range(200):
        kb = api.create(f"cluster-{number}")
        bases.setdefault(partition_of(kb), kb)
        if len(bases) == PARTITIONS:
            return bases
    raise AssertionError(f"no knowledge base came to lie in some of the partitions: {sorted(bases)}")


def test_documents_of_every_partition_are_accepted_processed_and_found(api: Api) -> None:
    bases = base_in_every_partition(api)
    tasks = {kb: api.upload(kb, [(f"{partition}.txt", text_of(partition))]) for partition, kb in bases.items()}
    for partition, kb in bases.items():
        api.ended(tasks[kb])
        (document,) = api.documents(tasks[kb])
        assert document.status is DocumentPhase.COMPLETED, document.error
        found = api.search(kb, word_of(partition), mode="keyword", top_k=5)
        assert [passage.filename for passage in found] == [f"{partition}.txt"]


def test_a_master_that_dies_while_its_documents_are_processed_costs_none_of_them(
    api: Api, service: ServiceProcess, redis_cluster: RedisCluster
) -> None:
    kb = api.create("dies")
    slot = slot_of(Keys(PARTITIONS).log(partition_of(kb)))
    task = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(PAPERS)])
    dead = redis_cluster.master_of(slot)
    successor = redis_cluster.replica_of(dead)
    dead.kill()
    poll(successor.is_master, "the replica takes over", 60)
    dead.start()
    redis_cluster.wait_until_whole()
    api.ended(task)
    documents = api.documents(task)
    assert [one.status for one in documents] == [DocumentPhase.COMPLETED] * PAPERS
    later = api.upload(kb, [("later.txt", text_of(PAPERS))])
    api.ended(later)
    for number in range(PAPERS):
        found = [one.filename for one in api.search(kb, word_of(number), mode="keyword", top_k=50)]
        assert found == [f"{number}.txt"]
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    assert "Traceback" not in service.errors


@pytest.mark.timeout(400)
def test_a_cluster_that_lost_a_shard_is_restored_from_archive_and_blobs(
    service: ServiceProcess, redis_cluster: RedisCluster
) -> None:
    """As docs/operations.md walks through it: what the other shards have is archived before they are emptied too."""
    keys = Keys(PARTITIONS)
    tells = redis_cluster.master_of(slot_of(keys.installation))
    lost = next(node for node in redis_cluster.masters() if node is not tells)
    owners = {partition: redis_cluster.master_of(slot_of(keys.log(partition))) for partition in range(PARTITIONS)}
    with Api(service.url) as api:
        bases = base_in_every_partition(api)
        kept = {kb: api.upload(kb, [("kept.txt", text_of(100 + partition))]) for partition, kb in bases.items()}
        before = {kb: (api.ended(task), api.documents(task)) for kb, task in kept.items()}
        assert command(service, "archive", "now")[0] == 0
        late = {kb: api.upload(kb, [("late.txt", text_of(200 + partition))]) for partition, kb in bases.items()}
        for task in late.values():
            api.ended(task)
    service.stop()
    lost.ask("FLUSHALL")

    assert command(service, "archive", "now")[0] == 0
    for node in redis_cluster.masters():
        node.ask("FLUSHALL")

    code, _, said = command(service, "up", "--port", "0")
    assert (code, "millstream restore" in said) == (78, True), said
    code, report, said = command(service, "restore", "--json")
    assert code == 0, said
    assert report["partitions"] == PARTITIONS
    assert report["uploads"]["tasks"] == {"accepted": list(owners.values()).count(lost)}, (
        "the others are in the archive"
    )

    service.start()
    with Api(service.url) as api:
        for partition, kb in bases.items():
            assert (api.task(kept[kb]), api.documents(kept[kb])) == before[kb]
            api.ended(late[kb])
            for number, name in ((100 + partition, "kept.txt"), (200 + partition, "late.txt")):
                found = api.search(kb, word_of(number), mode="keyword", top_k=50)
                assert [passage.filename for passage in found] == [name]
    code, report, said = command(service, "replay", "--verify", "--json")
    assert (code, report["differences"]) == (0, []), said
