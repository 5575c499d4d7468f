"""Whatever dies or is stopped: nothing accepted is lost or done twice, and the service comes back by itself."""

import signal

import httpx
import pytest

from domain.status import DocumentPhase, TaskPhase
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

pytest_plugins = ("tests.servers.service",)

DOCUMENTS = 30
BACK_S_MAX = 30.0


def assert_each_document_is_there_once(api: Api, kb: str, numbers: range) -> None:
    """Each document's own word is found in its own passages, and no passage is there twice."""
    for number in numbers:
        found = api.search(kb, word_of(number), mode="keyword", top_k=50)
        assert {passage.filename for passage in found} == {f"{number}.txt"}, number
        texts = [passage.text for passage in found]
        assert len(texts) == len(set(texts)), f"a chunk of {number}.txt is there twice"


def test_a_restart_keeps_everything(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("kept")
        first = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3)])
        api.ended(first)
        before = (api.task(first), api.documents(first), api.knowledge_base(kb))
        passages = api.search(kb, "how does the miller judge the meal")
        unfinished = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3, 9)])
    own_service.stop()

    own_service.start()
    with Api(own_service.url) as api:
        task, documents, _ = before
        assert api.task(first) == task
        assert api.documents(first) == documents
        ended = api.ended(unfinished)
        assert ended.status is TaskPhase.COMPLETED, [one.error for one in api.documents(unfinished)]
        only_first = [document.document_id for document in documents]
        again = api.search(kb, "how does the miller judge the meal", document_ids=only_first)
        assert {one.chunk_id for one in again} == {one.chunk_id for one in passages}
        api.completed(kb, [("9.txt", text_of(9))])
        assert_each_document_is_there_once(api, kb, range(10))
        assert api.knowledge_base(kb).documents.completed == 10
    own_service.stop(signal.SIGINT)


@pytest.mark.parametrize("own_service", [{"MILLSTREAM_WORKERS": "2"}], indirect=True, ids=["two workers"])
def test_workers_killed_in_the_middle_are_started_again_and_nothing_is_lost_or_done_twice(
    own_service: ServiceProcess,
) -> None:
    own_service.start()
    victims = ["worker-1", "worker-2"]
    with Api(own_service.url) as api:
        kb = api.create("killing")
        api.completed(kb, [("warm.txt", text_of(999))])
        task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(DOCUMENTS)])
        # Small documents are told of when they are done, many at a time.
        poll(lambda: api.task(task_id).status is not TaskPhase.QUEUED, "the work has begun")
        killed = {name: own_service.kill(name) for name in victims if name in own_service.pids}
        assert api.task(task_id).status is TaskPhase.PROCESSING, "it was killed in the middle"
        for name, pid in killed.items():
            own_service.wait_for_restart(name, pid)
        task = api.ended(task_id, within_s=60)
        documents = api.documents(task_id)
        assert [one.error for one in documents if one.status is not DocumentPhase.COMPLETED] == []
        assert task.status is TaskPhase.COMPLETED
        assert_each_document_is_there_once(api, kb, range(DOCUMENTS))
        found = api.knowledge_base(kb)
        assert found.documents.completed == DOCUMENTS + 1
        assert found.chunks == sum(one.counts.chunks for one in documents) + chunks_of(api, kb, "warm.txt")
    own_service.stop()


def chunks_of(api: Api, kb: str, filename: str) -> int:
    rows = api.http.get(f"/knowledge-bases/{kb}/documents", params={"limit": 200}).json()["data"]
    return int(sum(row["counts"]["chunks"] for row in rows if row["filename"] == filename))


def test_api_projector_and_redis_killed_come_back_and_the_work_goes_on(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("killing the rest")
        task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(12)])
        for name in ("projector", "api", "redis"):
            killed = own_service.kill(name)
            if name != "redis":
                own_service.wait_for_restart(name, killed)
            poll(lambda: is_ready(own_service.url), f"the service is ready without the killed {name}", BACK_S_MAX)
        poll(lambda: has_ended(api, task_id), "the task has ended", 60)
        assert api.task(task_id).status is TaskPhase.COMPLETED, [one.error for one in api.documents(task_id)]
        assert_each_document_is_there_once(api, kb, range(12))
        api.completed(kb, [("12.txt", text_of(12))])
    own_service.stop()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def has_ended(api: Api, task_id: str) -> bool:
    """Whether a task has ended, asked of a service that may be on its way back."""
    try:
        answer = api.http.get(f"/tasks/{task_id}")
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json()["finished_at"] is not None
