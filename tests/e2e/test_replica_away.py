"""A log that confirms by a replica, which is killed: it is told what stands still and why, and all goes on with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.status import DocumentPhase, TaskPhase
from events.ids import partition_of
from events.keys import Keys, slot_of
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.e2e.test_failover import PARTITION, PARTITIONS, in_partition
from tests.e2e.test_restarts import assert_each_document_is_there_once
from tests.e2e.test_restore import command
from tests.prometheus_text import read
from tests.servers.failovers import BOTH_KINDS, ClusterFailingOver, FailingOver, redis_of_either_kind
from tests.servers.service_process import ServiceProcess, service_on
from tests.waiting import poll

pytest_plugins = ("tests.servers.redis_cluster",)

KEYS = Keys(PARTITIONS)
BACK_S_MAX = 60.0
"""A call that is not confirmed is repeated every 2 s, the attempt of a document every few: on a busy machine too."""


@pytest.fixture(params=BOTH_KINDS)
def redis(request: pytest.FixtureRequest) -> Iterator[FailingOver]:
    with redis_of_either_kind(request, KEYS, PARTITION) as redis:
        yield redis


@pytest.fixture
def service(redis: FailingOver, tmp_path: Path) -> Iterator[ServiceProcess]:
    variables = {
        "MILLSTREAM_REDIS_URL": redis.url,
        "MILLSTREAM_WORKERS": "1",
        "MILLSTREAM_EMBEDDING": "hash",
        "MILLSTREAM_CONFIRM": "replica",
    }
    with service_on(tmp_path / "data", variables) as started:
        yield started


@pytest.mark.timeout(400)
def test_what_stands_still_without_a_replica_is_told_and_goes_on_when_it_follows(
    redis: FailingOver, service: ServiceProcess
) -> None:
    with Api(service.url) as api:
        kb = in_partition(api)
        api.ended(api.upload(kb, [("0.txt", text_of(0))]))
        assert (readiness(service)["halted"], halted_of(api)) == ([], [])
        beside = elsewhere(api, redis)

        redis.lose_replica()
        poll(lambda: bool(readiness(service)["halted"]), "/readyz tells it", 10)
        (halted,) = halted_of(api)
        assert readiness(service)["halted"] == [halted]
        assert PARTITION in halted["partitions"]
        assert any(halted["server"] in said and "Start its replica" in said for said in readiness(service)["warnings"])
        assert httpx.get(f"{service.url}/readyz").status_code == 200, "what is there is read and searched"
        assert [one.filename for one in api.search(kb, word_of(0), mode="keyword", top_k=5)] == ["0.txt"]
        poll(lambda: figure(service, "millstream_partitions_halted") == len(halted["partitions"]), "/metrics tells it")
        shown = " ".join(command(service, "top", "--once", "--url", service.url)[1].split())
        assert "Start its replica" in shown, shown
        finding = doctor_of_redis(service)
        assert not finding["is_good"]
        assert halted["server"] in finding["detail"]
        assert "start its replica" in finding["advice"]

        refused = api.post_files(kb, [("1.txt", text_of(1))], idempotency_key="once")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_replicated")
        assert refused.headers["Retry-After"].isdigit()
        if beside is not None:
            assert api.ended(api.upload(beside, [("2.txt", text_of(2))])).status is TaskPhase.COMPLETED

        redis.bring_replica_back()
        poll(lambda: not readiness(service)["halted"], "/readyz tells that it follows", 10)
        assert halted_of(api) == []
        poll(lambda: figure(service, "millstream_partitions_halted") == 0, "/metrics does")
        task = accepted(api, kb)
        assert api.ended(task, within_s=BACK_S_MAX).status is TaskPhase.COMPLETED
        assert [one.status for one in api.documents(task)] == [DocumentPhase.COMPLETED]
        assert_each_document_is_there_once(api, kb, range(2))
        assert doctor_of_redis(service)["is_good"]
    assert "Traceback" not in service.errors


def readiness(service: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.url}/readyz", timeout=10).json()
    return found


def halted_of(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.http.get("/system").json()["standing"]["halted"]
    return found


def doctor_of_redis(service: ServiceProcess) -> dict[str, Any]:
    _, findings, said = command(service, "doctor", "--json")
    (found,) = [one for one in findings if one["subject"] == "redis"]
    assert isinstance(found, dict), said
    return found


def figure(service: ServiceProcess, name: str) -> float:
    return read(httpx.get(f"{service.url}/metrics", timeout=10).text)[name].value()


def elsewhere(api: Api, redis: FailingOver) -> str | None:
    """A knowledge base of another shard, which goes on; None where there is one server."""
    if not isinstance(redis, ClusterFailingOver):
        return None
    for number in range(200):
        kb = api.create(f"beside {number}")
        if redis.is_elsewhere(slot_of(KEYS.log(partition_of(kb)))):
            return kb
    raise AssertionError("no knowledge base came to lie in another shard")


def accepted(api: Api, kb: str) -> str:
    """The task of the upload that was refused: repeated until it is confirmed, it is the same one."""
    tasks: list[str] = []

    def is_accepted() -> bool:
        answer = api.post_files(kb, [("1.txt", text_of(1))], idempotency_key="once")
        assert answer.status_code in {202, 503}, answer.text
        tasks.extend(answer.json()["task_id"] for _ in range(answer.status_code == 202))
        return bool(tasks)

    poll(is_accepted, "the upload is confirmed", BACK_S_MAX)
    return tasks[0]
