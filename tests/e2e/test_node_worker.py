"""A worker in Node.js does the steps of a real service: it lives, is killed, is overtaken, and leaves in order."""

import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from domain.status import DocumentPhase
from tests.e2e.api import Api
from tests.servers.embedding_endpoint import EmbeddingEndpoint, running_endpoint
from tests.servers.node_worker import EXAMPLE, NodeWorker, node_worker
from tests.servers.service_process import ServiceProcess
from tests.servers.stream_clients import installed
from tests.waiting import poll

LEASE_S = 2
NEXT_S_MAX = 60
"""A lease that runs out, a claim, and the work done again, on a busy machine."""


class Mill(NamedTuple):
    """A service that leaves parsing and embedding to workers elsewhere, and the model that they ask."""

    api: Api
    service: ServiceProcess
    endpoint: EmbeddingEndpoint
    worker: Callable[[str], AbstractContextManager[NodeWorker]]


@pytest.fixture(scope="module")
def mill(request: pytest.FixtureRequest) -> Iterator[Mill]:
    """One for the module. At the end it has to stop well."""
    folder = installed(EXAMPLE, request.config.cache.mkdir("node-worker"))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-node-")))
        endpoint = stack.enter_context(running_endpoint())
        variables = {
            "MILLSTREAM_WORKERS": "1",
            "MILLSTREAM_GRPC_PORT": "0",
            "MILLSTREAM_GRPC_LEASE_S": str(LEASE_S),
            "MILLSTREAM_LEASE_S": "3",
            "MILLSTREAM_STEPS_ELSEWHERE": "parse,embed",
            **endpoint.variables,
        }
        service = ServiceProcess(directory / "data", variables)
        stack.callback(service.end)
        service.start()

        @contextmanager
        def worker(name: str) -> Iterator[NodeWorker]:
            (port,) = re.findall(r"gRPC on port (\d+)$", service.output, re.MULTILINE)[:1]
            told = {
                "MILLSTREAM_GRPC": f"127.0.0.1:{port}",
                "STEPS": "parse,embed",
                "WORKER": name,
                "EMBEDDINGS_URL": f"http://127.0.0.1:{endpoint.server_port}/v1/embeddings",
            }
            with node_worker(folder, directory / f"{name}.log", told) as running:
                yield running

        with Api(service.url) as api:
            yield Mill(api, service, endpoint, worker)
        service.stop()
        print(service.errors[-20_000:], file=sys.stderr)


@pytest.fixture
def thinking(mill: Mill) -> Iterator[EmbeddingEndpoint]:
    """The model keeps whoever asks waiting, so that they hold their lease; for the test to let go."""
    mill.endpoint.may_answer.clear()
    mill.endpoint.asked.clear()
    yield mill.endpoint
    mill.endpoint.may_answer.set()


def facts_of(mill: Mill, task: str) -> list[tuple[str, str]]:
    """Type and worker, where there is one, of every fact of a task."""
    answer = mill.api.http.get(f"/tasks/{task}/events", params={"limit": 200})
    return [(fact["type"], fact["data"].get("worker", "").split("@")[0]) for fact in answer.json()["data"]]


def test_what_node_parses_and_embeds_is_found(mill: Mill) -> None:
    kb = mill.api.create("by node")
    with mill.worker("node-whole") as worker:
        text, page = mill.api.completed(
            kb,
            [
                ("pages.txt", "Rye is sown in autumn.\f磨坊主每两周修磨一次磨石。".encode()),
                ("page.html", b"<html><title>Oats &amp; bran</title><body><p>Oats are rolled.</p></body></html>"),
            ],
        )
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.lines

    assert (text.counts.pages, text.language, page.title) == (2, "zh", "Oats & bran")
    (found, *_) = mill.api.search(kb, "修磨磨石", mode="keyword")
    assert found.document_id == text.document_id
    (found, *_) = mill.api.search(kb, "oats rolled", mode="vector")
    assert found.document_id == page.document_id
    steps = {fact for fact in facts_of(mill, text.task_id) if fact[0] == "StepStarted"}
    assert ("StepStarted", "node-whole") in steps


def test_what_it_cannot_read_is_a_dead_letter_with_its_code(mill: Mill) -> None:
    kb = mill.api.create("unreadable")
    with mill.worker("node-refusing") as worker:
        (document,) = mill.api.ingest(kb, [("rows.csv", b"a,b\n1,2\n3,4\n")])
        assert worker.said("failed")["code"] == "unsupported_type"

    assert document.status is DocumentPhase.FAILED
    assert document.error is not None
    assert (document.error.code, document.error.retry_at) == ("unsupported_type", None)


def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_done_twice(
    mill: Mill, thinking: EmbeddingEndpoint
) -> None:
    kb = mill.api.create("killed")
    with mill.worker("node-killed") as killed:
        task = mill.api.upload(kb, [("killed.txt", b"Spelt keeps its husk.")])
        assert thinking.asked.wait(NEXT_S_MAX)
        killed.signal(signal.SIGKILL)
        killed.ended()
        thinking.may_answer.set()
        with mill.worker("node-heir"):
            mill.api.ended(task, NEXT_S_MAX)

    (document,) = mill.api.documents(task)
    facts = facts_of(mill, task)
    assert document.status is DocumentPhase.COMPLETED
    assert [worker for kind, worker in facts if kind == "StepStarted" and worker != "worker-1"] == [
        "node-killed",
        "node-killed",
        "node-heir",
    ]
    assert [kind for kind, _ in facts].count("DocumentEmbedded") == 1
    assert "StepFailed" not in {kind for kind, _ in facts}
    assert len(mill.api.search(kb, "husk", mode="keyword")) == 1


def test_a_worker_that_was_frozen_is_overtaken_and_drops_its_work(mill: Mill, thinking: EmbeddingEndpoint) -> None:
    kb = mill.api.create("frozen")
    with mill.worker("node-frozen") as frozen:
        task = mill.api.upload(kb, [("frozen.txt", b"Emmer is hulled by hand.")])
        assert thinking.asked.wait(NEXT_S_MAX)
        frozen.signal(signal.SIGSTOP)
        thinking.may_answer.set()
        with mill.worker("node-other"):
            mill.api.ended(task, NEXT_S_MAX)
        frozen.signal(signal.SIGCONT)
        lost = frozen.said("lease_lost")

    (document,) = mill.api.documents(task)
    facts = facts_of(mill, task)
    assert (lost["document"], lost["step"]) == (document.document_id, "embed")
    assert document.status is DocumentPhase.COMPLETED
    assert [kind for kind, _ in facts].count("DocumentEmbedded") == 1
    assert ("StepStarted", "node-other") in facts


def test_a_lease_is_renewed_for_as_long_as_the_worker_is_at_it(mill: Mill, thinking: EmbeddingEndpoint) -> None:
    kb = mill.api.create("renewed")
    with mill.worker("node-slow"), mill.worker("node-idle"):
        task = mill.api.upload(kb, [("slow.txt", b"Einkorn ripens late.")])
        assert thinking.asked.wait(NEXT_S_MAX)
        thinking.asked.clear()
        # Whoever else got the batch would ask the model for it.
        assert not thinking.asked.wait(2 * LEASE_S)
        thinking.may_answer.set()
        mill.api.ended(task, NEXT_S_MAX)

    starts = [worker for kind, worker in facts_of(mill, task) if kind == "StepStarted" and worker.startswith("node")]
    assert len(starts) == 2, "one for each step"


def test_a_worker_outlasts_a_service_that_was_killed(mill: Mill) -> None:
    kb = mill.api.create("restarted")
    with mill.worker("node-patient") as worker:
        worker.said("polling")
        killed = mill.service.kill("api")
        mill.service.wait_for_restart("api", killed)
        poll(lambda: is_served(mill), "the API is back", NEXT_S_MAX)
        (document,) = mill.api.completed(kb, [("after.txt", b"Durum is ground to semolina.")], NEXT_S_MAX)

    assert ("StepStarted", "node-patient") in facts_of(mill, document.task_id)


def test_what_a_worker_holds_when_the_service_stops_is_handed_back(mill: Mill, thinking: EmbeddingEndpoint) -> None:
    kb = mill.api.create("handed back")
    with mill.worker("node-holding"):
        task = mill.api.upload(kb, [("held.txt", b"Teff is the smallest grain.")])
        assert thinking.asked.wait(NEXT_S_MAX)
        mill.service.stop()
    thinking.may_answer.set()
    mill.service.start()
    with Api(mill.service.url) as api, mill.worker("node-later"):
        ended = api.ended(task, NEXT_S_MAX)
        answer = api.http.get(f"/tasks/{task}/events", params={"limit": 200})

    codes = [fact["data"]["code"] for fact in answer.json()["data"] if fact["type"] == "StepFailed"]
    assert codes == ["worker_stopped"]
    assert ended.documents.completed == 1


def is_served(mill: Mill) -> bool:
    try:
        return mill.api.http.get("/tasks").is_success
    except httpx.TransportError:
        return False
