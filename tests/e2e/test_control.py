"""Work is given up and begun again on request: running work stops at once, what failed goes on where it stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from domain.status import DocumentPhase, TaskPhase
from events.task import TaskSource
from millstream.client import Client
from tests.e2e.api import Api, problem_code
from tests.e2e.papers import blank_pdf, text_of, word_of
from tests.servers.embedding_endpoint import EmbeddingEndpoint, running_endpoint
from tests.servers.service_process import ServiceProcess, environment_with, service_on
from tests.waiting import is_alive, poll

pytest_plugins = ("tests.servers.service",)

STOPPED_S_MAX = 2.0
"""How long work may go on after its cancellation was accepted."""


def parse_children(service: ServiceProcess) -> set[int]:
    """The parsing processes of all workers."""
    workers = {pid for name, pid in service.pids.items() if name.startswith("worker")}
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            continue
        if parent in workers and b"parse_child.py" in command:
            found.add(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="children are found through /proc")
@pytest.mark.parametrize("is_removed", [False, True], ids=["cancelled", "deleted"])
def test_a_parser_that_does_not_come_back_is_killed_when_nobody_wants_its_document(
    own_service: ServiceProcess, is_removed: bool
) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("slow")
        api.completed(kb, [("warm.txt", text_of(1))])
        stopped = parse_children(own_service)
        assert stopped
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        task_id = api.upload(kb, [("slow.txt", text_of(2))])
        (document,) = api.documents(task_id)
        poll(lambda: bool(api.documents(task_id)[0].stages), "the document is being parsed")
        asked_s = time.monotonic()
        if is_removed:
            answer = api.http.delete(f"/knowledge-bases/{kb}/documents/{document.document_id}")
        else:
            answer = api.http.post(f"/tasks/{task_id}/cancel")
        assert answer.status_code == 202
        poll(lambda: not all(map(is_alive, stopped)), "the parser is killed", STOPPED_S_MAX)
        assert time.monotonic() - asked_s < STOPPED_S_MAX + 0.5
        for pid in filter(is_alive, stopped):
            os.kill(pid, signal.SIGCONT)
        assert api.ended(task_id).status is TaskPhase.CANCELLED
        facts = [fact["type"] for fact in api.http.get(f"/tasks/{task_id}/events").json()["data"]]
        end = ["DocumentRemoved"] if is_removed else ["DocumentCancelled"]
        kept = [fact for fact in facts if fact not in {"TaskCancelled", "DocumentErased"}]
        assert kept == ["TaskSubmitted", "DocumentAccepted", "StepStarted", *end, "TaskFinished"]
        api.completed(kb, [("after.txt", text_of(3))])
        assert api.search(kb, word_of(2), mode="keyword") == []
    own_service.stop()


def test_a_cancelled_task_is_taken_up_again_where_it_stopped(service: ServiceProcess) -> None:
    with Api(service.url) as api, Client(service.url) as client:
        kb = api.create("taken up again")
        task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(320, 340)])
        client.cancel_task(task_id, reason="not yet")
        poll(lambda: api.task(task_id).finished_at is not None, "the task has ended")
        cancelled = api.task(task_id).documents.cancelled
        assert cancelled > 0
        again = client.retry_task(task_id, cancelled=True, idempotency_key="k-1")
        assert client.retry_task(task_id, cancelled=True, idempotency_key="k-1").task_id == again.task_id
        ended = api.ended(again.task_id)
        assert (ended.status, ended.source, ended.documents.total) == (
            TaskPhase.COMPLETED,
            TaskSource.RETRY,
            cancelled,
        )
        assert api.task(task_id).documents.cancelled == cancelled, "the first task keeps what it ended with"
        assert api.knowledge_base(kb).documents.completed == 20
        assert problem_code(api.http.post(f"/tasks/{task_id}/retry")) == (409, "nothing_to_retry")


def test_a_document_is_processed_again_and_found_all_the_while(service: ServiceProcess) -> None:
    with Api(service.url) as api, Client(service.url) as client:
        kb = api.create("again")
        (document,) = api.completed(kb, [("350.txt", text_of(350))])
        again = client.reprocess_document(kb, document.document_id, from_step="embed")
        while api.task(again.task_id).finished_at is None:
            assert len(api.search(kb, word_of(350), mode="keyword")) == 1
        assert api.ended(again.task_id).source is TaskSource.REPROCESS
        (now,) = api.documents(again.task_id)
        assert (now.document_id, now.task_id) == (document.document_id, again.task_id)
        assert [stage.attempts for stage in now.stages] == [1, 1, 2, 2]
        assert api.knowledge_base(kb).chunks == now.counts.chunks


@pytest.fixture
def endpoint() -> Iterator[EmbeddingEndpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def service_of_a_provider(endpoint: EmbeddingEndpoint, tmp_path: Path) -> Iterator[ServiceProcess]:
    with service_on(tmp_path / "data", endpoint.variables) as started:
        yield started


def test_what_failed_is_begun_again_once_the_reason_is_gone(
    service_of_a_provider: ServiceProcess, endpoint: EmbeddingEndpoint
) -> None:
    with Api(service_of_a_provider.url) as api:
        kb, other = api.create("one"), api.create("other")
        endpoint.is_closed = True
        task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3)])
        assert api.ended(task_id).status is TaskPhase.FAILED
        failed = api.documents(task_id)
        other_task = api.upload(other, [("3.txt", text_of(3)), ("blank.pdf", blank_pdf())])
        assert api.ended(other_task).status is TaskPhase.FAILED
        code = failed[0].error.code if failed[0].error else ""

        def listed(*options: str) -> Any:
            return command(service_of_a_provider, "dead", "list", *options)

        poll(lambda: len(listed()) == 5, "all dead letters are listed")
        assert {letter["step"] for letter in listed("--code", code)} == {"embed"}
        assert [letter["filename"] for letter in listed("--code", "no_text")] == ["blank.pdf"]
        assert len(listed("--kb", "other", "--step", "embed")) == 1

        endpoint.is_closed = False
        again = command(service_of_a_provider, "retry", task_id)
        assert api.ended(again["task_id"]).status is TaskPhase.COMPLETED
        documents = api.documents(again["task_id"])
        assert [one.document_id for one in documents] == [one.document_id for one in failed]
        assert {one.status for one in documents} == {DocumentPhase.COMPLETED}
        attempts = {tuple(stage.attempts for stage in one.stages) for one in documents}
        assert attempts == {(1, 1, 2, 1)}, "only the failed step was done again"
        assert api.task(task_id).status is TaskPhase.FAILED, "a task ends once"
        assert {one.filename for one in api.search(kb, word_of(1), mode="keyword")} == {"1.txt"}

        poll(lambda: len(listed()) == 2, "what was begun again is no dead letter")
        dry = command(service_of_a_provider, "dead", "retry", "--code", code, "--dry-run")
        assert (dry["dry_run"], dry["documents"], dry["by_code"], dry["tasks"]) == (True, 1, {code: 1}, [])
        assert len(listed()) == 2
        done = command(service_of_a_provider, "dead", "retry", "--code", code)
        assert (done["documents"], len(done["tasks"])) == (1, 1)
        assert api.ended(done["tasks"][0]["task_id"]).status is TaskPhase.COMPLETED
        poll(lambda: [letter["filename"] for letter in listed()] == ["blank.pdf"], "one dead letter is left")
        (letter,) = listed()
        assert api.http.delete(f"/dead-letters/{letter['document_id']}").status_code == 202
        poll(lambda: listed() == [], "no dead letter is left")


def command(service: ServiceProcess, *arguments: str) -> Any:
    """The JSON that a command prints, run as somebody runs it who works beside the service."""
    address = urlsplit(service.url)
    ended = subprocess.run(
        [sys.executable, "-m", "millstream", *arguments, "--json"],
        env=environment_with({"MILLSTREAM_PORT": str(address.port)}),
        cwd=service.data_dir.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
