"""A primary that dies with what its replica has not got: the whole service, on a cluster and behind Sentinels.

Here everything is lost that came while the replica was away: the most that asynchronous replication can lose.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import httpx_sse
import msgspec
import pytest

from domain.status import DocumentPhase, TaskPhase
from events.ids import partition_of
from events.keys import Keys
from tests.e2e.api import Api
from tests.e2e.papers import text_of
from tests.e2e.test_restarts import assert_each_document_is_there_once
from tests.e2e.test_restore import command
from tests.servers.failovers import BOTH_KINDS, FailingOver, redis_of_either_kind
from tests.servers.service_process import ServiceProcess, service_on
from tests.waiting import poll

pytest_plugins = ("tests.servers.redis_cluster",)

PARTITIONS = 8
PARTITION = 0
KEYS = Keys(PARTITIONS)


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
        "MILLSTREAM_RECONCILE_AGE_S": "1",
        "MILLSTREAM_LEASE_S": "2",
    }
    with service_on(tmp_path / "data", variables) as started:
        yield started


class Watcher:
    """Follows a knowledge base as a browser does, from where it was cut off; keeps the last state that it was told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_over = threading.Event()
        self.told: list[str] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(30)

    def _follow(self) -> None:
        place = ""
        with httpx.Client(timeout=httpx.Timeout(5, read=1), trust_env=False) as http:
            while not self._is_over.is_set():
                headers = {"Last-Event-ID": place} if place else {}
                try:
                    with httpx_sse.connect_sse(http, "GET", self._url, headers=headers) as source:
                        if source.response.status_code != 200:
                            continue
                        for event in source.iter_sse():
                            place = event.id or place
                            if event.data:
                                self.told.append(event.data)
                            if self._is_over.is_set():
                                return
                except (httpx.HTTPError, httpx_sse.SSEError):
                    continue


def in_partition(api: Api) -> str:
    for number in range(200):
        kb = api.create(f"base {number}")
        if partition_of(kb) == PARTITION:
            return kb
    raise AssertionError("no knowledge base came to lie in the partition")


@pytest.mark.timeout(400)
def test_what_a_failover_lost_is_told_by_the_epoch_and_comes_back_from_the_blobs(
    redis: FailingOver, service: ServiceProcess
) -> None:
    with Api(service.url) as api:
        kb = in_partition(api)
        kept = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3)])
        api.ended(kept)
        before = (api.task(kept), api.documents(kept))
        watcher = Watcher(f"{service.url}/api/v1/knowledge-bases/{kb}/stream")
        poll(lambda: bool(watcher.told), "the stream has begun")

        redis.stop_replicating()
        lost = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3, 5)])
        assert api.ended(lost).status is TaskPhase.COMPLETED
        later = api.upload(kb, [("5.txt", text_of(5))], idempotency_key="once")
        assert api.ended(later).status is TaskPhase.COMPLETED
        redis.fail_over()

        assert repeated(api, kb, 5, "once") == later, "the request meets its task, lost or not"
        answers = set[tuple[int, str]]()
        for task in (lost, later):
            poll(lambda task=task: is_back(api, task, answers), f"{task} is accepted and processed again", 120)  # type: ignore[misc]
        assert {code for code, _ in answers} <= {200, 404, 503}, answers
        assert (api.task(kept), api.documents(kept)) == before
        assert [one.status for one in api.documents(lost)] == [DocumentPhase.COMPLETED] * 2
        api.ended(repeated(api, kb, 6, "later"))
        assert_each_document_is_there_once(api, kb, range(7))

        epoch = redis.ask("HGET", KEYS.meta(PARTITION), "epoch")
        assert epoch == "2", "it is raised once, by whoever was first to miss what is lost"
        present = api.http.get(f"/knowledge-bases/{kb}").json()
        poll(lambda: bool(msgspec.json.decode(watcher.told[-1]) == present), "who watches knows the present state")
        watcher.stop()
        assert httpx.get(f"{service.url}/readyz").status_code == 200
    code, report, said = command(service, "replay", "--verify", "--json")
    assert (code, report["differences"]) == (0, []), said
    assert "Traceback" not in service.errors


def repeated(api: Api, kb: str, number: int, key: str) -> str:
    """The task of an upload that is sent until it is accepted, as a 503 asks for: Sentinels take a moment to agree."""
    tasks: list[str] = []

    def is_accepted() -> bool:
        answer = api.post_files(kb, [(f"{number}.txt", text_of(number))], idempotency_key=key)
        assert answer.status_code in {202, 503}, answer.text
        tasks.extend(answer.json()["task_id"] for _ in range(answer.status_code == 202))
        return bool(tasks)

    poll(is_accepted, "the upload is accepted", 60)
    return tasks[0]


def is_back(api: Api, task: str, answers: set[tuple[int, str]]) -> bool:
    """Whether it is completed; what was answered of it is noted."""
    answer = api.http.get(f"/tasks/{task}")
    answers.add((answer.status_code, answer.json().get("status", "") if answer.status_code == 200 else ""))
    return answer.status_code == 200 and answer.json()["status"] == TaskPhase.COMPLETED.value
