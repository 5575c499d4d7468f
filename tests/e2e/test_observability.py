"""What an operator sees of a whole service from outside: metrics of every process, one document's trace, log lines."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest

from millstream.observing import catalogue
from millstream.observing.exposition import CONTENT_TYPE
from tests.prometheus_text import Metric, read
from tests.servers.otlp import Collector, Span, collecting
from tests.servers.ports import free_ports_in_a_row
from tests.servers.service_process import ServiceProcess, environment_with
from tests.waiting import poll

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CLIENT: Final = "b7ad6b7169203331"
STEPS: Final = ("parse", "chunk", "embed", "index")
TEXT: Final = "The miller judges the meal by its touch. 磨坊主凭手感判断面粉。" * 20


class Observed(msgspec.Struct, frozen=True):
    """A service that has ingested one document, as one trace, searched for it, and refused a request."""

    service: ServiceProcess
    collector: Collector
    metrics_port: int
    task: str
    document: str

    def metrics(self, place: int) -> dict[str, Metric]:
        """Of the API (0), the projector (1), the worker (2), on the port of each."""
        answer = httpx.get(f"http://127.0.0.1:{self.metrics_port + place}/metrics", trust_env=False, timeout=20)
        assert answer.headers["content-type"] == CONTENT_TYPE
        return read(answer.text)


@pytest.fixture(scope="module")
def observed() -> Iterator[Observed]:
    port = free_ports_in_a_row(3)
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory, collecting() as collector:
        service = ServiceProcess(
            Path(directory) / "data",
            {
                "MILLSTREAM_WORKERS": "1",
                "MILLSTREAM_EMBEDDING": "hash",
                "MILLSTREAM_LOG_FORMAT": "json",
                "MILLSTREAM_METRICS_PORT": str(port),
                "MILLSTREAM_OTLP_URL": collector.url,
                "MILLSTREAM_OTLP_HEADERS": "x-mill=stone",
            },
        )
        service.start()
        try:
            yield ingested(service, collector, port)
            service.stop()
        finally:
            service.end()


def ingested(service: ServiceProcess, collector: Collector, port: int) -> Observed:
    with httpx.Client(base_url=f"{service.url}/api/v1", trust_env=False, timeout=60) as client:
        base = client.post("/knowledge-bases", json={"name": "mill"}).json()["knowledge_base_id"]
        headers = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
        files = {"file": ("meal.txt", TEXT)}
        accepted = client.post(f"/knowledge-bases/{base}/documents", files=files, headers=headers).json()
        task, document = accepted["task_id"], accepted["documents"][0]["document_id"]
        poll(lambda: client.get(f"/tasks/{task}").json()["status"] == "completed", "the task is completed", 60)
        found = client.post(f"/knowledge-bases/{base}/search", json={"query": "meal"}, headers=headers)
        assert found.json()["passages"]
        assert client.get("/tasks/nothing").status_code in {400, 404, 422}
    return Observed(service, collector, port, task, document)


def test_every_process_serves_metrics_that_a_strict_reader_takes_and_no_process_others_than_are_told(
    observed: Observed,
) -> None:
    served = [observed.metrics(place) for place in range(3)]
    known = {family.name: family for family in catalogue.EVERYTHING}
    for metrics in served:
        for name, metric in metrics.items():
            assert metric.type == known[name].kind.value
            own = set(known[name].labels) | ({"le"} if metric.type == "histogram" else set())
            assert all({label for label, _ in labels} <= own for _, labels in metric.samples)
    assert {name for metrics in served for name in metrics} == known.keys()
    assert [list(metrics["millstream_build_info"].samples.values()) for metrics in served] == [[1], [1], [1]]


def test_the_figures_are_those_of_what_was_done(observed: Observed) -> None:
    api, projector, worker = (observed.metrics(place) for place in range(3))
    for step in STEPS:
        assert api["millstream_step_ends_total"].value(step=step, outcome="succeeded") == 1
        assert api["millstream_step_duration_seconds"].count(step=step) == 1
        assert worker["millstream_worker_attempts_total"].value(step=step, outcome="done", code="") == 1
        for part in ("queue_wait", "run", "record"):
            assert worker[f"millstream_worker_{part}_seconds"].count(step=step) == 1
        assert worker["millstream_worker_attempts_running"].value(step=step) == 0
    assert api["millstream_upload_bytes_total"].value(route="upload_documents") > len(TEXT.encode())
    assert api["millstream_http_requests_total"].value(route="search", method="POST", status="200") == 1
    assert api["millstream_workers_alive"].value() == 1
    assert api["millstream_dead_letters"].value() == 0
    assert api["millstream_redis_up"].value() == 1
    assert api["millstream_redis_may_lose_events"].value() == 0
    events = sum(api["millstream_log_events_total"].samples.values())
    assert projector["millstream_projector_events_total"].value() == events
    assert sum(api["millstream_projector_lag_events"].samples.values()) == 0
    assert worker["millstream_appends_total"].value(answer="appended") >= 3  # parse begun, all done, task finished


def test_the_api_serves_the_same_on_its_own_port(observed: Observed) -> None:
    answer = httpx.get(f"{observed.service.url}/metrics", trust_env=False, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert read(answer.text)["millstream_step_ends_total"].value(step="parse", outcome="succeeded") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_prometheus_own_checker_takes_what_is_served(observed: Observed) -> None:
    text = httpx.get(f"{observed.service.url}/metrics", trust_env=False, timeout=20).content
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()


def test_one_document_is_one_trace_from_the_upload_to_the_views(observed: Observed) -> None:
    wanted = ("POST upload_documents", *STEPS, "finish", "project", "POST search")
    observed.collector.wait_for(TRACE, *wanted)
    facts = 2 * len(STEPS) + 3  # of the document, its begin and one batch of vectors, and of its task
    poll(lambda: projected(observed.collector.of(TRACE)) >= facts, "the views show every fact", 60)
    spans = observed.collector.of(TRACE)
    by_name: dict[str, list[Span]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    (accepted,), (searched,) = by_name["POST upload_documents"], by_name["POST search"]
    assert (accepted.parent_id, accepted.role, accepted.attributes["http.response.status_code"]) == (CLIENT, "api", 202)
    assert searched.parent_id == CLIENT
    for step in STEPS:
        (attempt,) = by_name[step]
        assert (attempt.parent_id, attempt.role) == (accepted.span_id, "worker")
        assert attempt.attributes["millstream.task"] == observed.task
        assert attempt.attributes["millstream.document"] == observed.document
        assert attempt.attributes["millstream.attempt"] == 1
        parts = [one for one in spans if one.parent_id == attempt.span_id]
        assert [one.name for one in parts] == ["wait", "run", "record"]
        # Each part begins where the one before it ended, and together they are the attempt.
        assert [one.start_ns for one in parts] == [attempt.start_ns, *(one.end_ns for one in parts[:-1])]
        assert parts[-1].end_ns == attempt.end_ns
    (finish,) = by_name["finish"]
    assert (finish.parent_id, finish.role) == (accepted.span_id, "worker")
    assert finish.attributes["millstream.stream"] == observed.task
    parts = [one for one in spans if one.parent_id == finish.span_id]
    assert [one.name for one in parts] == ["run", "record"]
    assert (parts[0].start_ns, parts[1].end_ns) == (finish.start_ns, finish.end_ns)
    assert {one.role for one in by_name["project"]} == {"projector"}
    assert not any(one.is_error for one in spans)
    assert observed.collector.paths == {"/v1/traces"}
    assert observed.collector.headers[-1]["x-mill"] == "stone"


def test_what_a_person_changes_is_followed_to_its_rows(observed: Observed) -> None:
    trace = "5b" * 16
    with httpx.Client(base_url=f"{observed.service.url}/api/v1", trust_env=False, timeout=60) as client:
        shown = client.get("/knowledge-bases").json()["data"][0]["knowledge_base_id"]
        path = f"/knowledge-bases/{shown}/documents/{observed.document}"
        headers = {"traceparent": f"00-{trace}-{CLIENT}-01"}
        assert client.patch(path, json={"metadata": {"year": 1850}}, headers=headers).status_code == 200
    observed.collector.wait_for(trace, "revise", "PATCH change_document")
    poll(lambda: len(revisions(observed, trace)) == 2, "the worker has looked too", 60)
    (changed,) = [one for one in observed.collector.of(trace) if one.name == "PATCH change_document"]
    here, worker = revisions(observed, trace)  # by role: a worker that waits is handed it in the moment of its append
    assert (here.role, here.parent_id) == ("api", changed.span_id)
    assert changed.start_ns <= here.start_ns <= here.end_ns <= changed.end_ns
    assert (here.attributes["millstream.task"], here.attributes["millstream.outcome"]) == (observed.task, "done")
    assert (worker.role, worker.attributes["millstream.outcome"]) == ("worker", "drop")
    assert worker.attributes["millstream.reason"] == "somebody has written the rows already"
    assert {one.attributes["millstream.stream"] for one in (here, worker)} == {observed.document}


def revisions(observed: Observed, trace: str) -> list[Span]:
    return sorted((one for one in observed.collector.of(trace) if one.name == "revise"), key=lambda one: one.role)


def projected(spans: list[Span]) -> int:
    """Facts of the trace in the commits that were told."""
    return sum(one.attributes["millstream.events"] for one in spans if one.name == "project")


def test_every_line_of_a_worker_s_step_names_task_document_step_and_attempt(observed: Observed) -> None:
    lines = [json.loads(line) for line in observed.service.errors.splitlines() if line.startswith("{")]
    ended = [line for line in lines if line["event"] == "attempt_ended"]
    assert [line["step"] for line in ended] == list(STEPS)
    for line in ended:
        assert (line["task"], line["document"], line["attempt"]) == (observed.task, observed.document, 1)
        assert line["role"] == "worker-1"


def test_top_shows_the_flow_once_as_a_table_or_as_json(observed: Observed) -> None:
    table = top(observed, "--once", "--minutes", "59")
    assert table.returncode == 0, table.stderr
    done = {line.split()[0]: line.split() for line in table.stdout.splitlines() if line.split()[:1]}
    assert [done[step][4] for step in STEPS] == ["1"] * len(STEPS)
    assert "workers 1" in table.stdout
    flow = json.loads(top(observed, "--json").stdout)
    assert flow["standing"] == {"dead_letters": 0, "timers": 0, "workers": 1, "halted": []}
    refused = top(observed, "--once", "--url", "http://127.0.0.1:9")
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr


def test_top_stays_in_a_terminal_and_ends_by_ctrl_c(observed: Observed) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "millstream", "top", "--every", "0.5", "--url", observed.service.url]
    running = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment_with({})
    )
    os.close(theirs)
    try:
        seen = b""
        while seen.count(b"events ") < 2:
            seen += os.read(ours, 65_536)
        running.send_signal(signal.SIGINT)
        while True:
            try:
                seen += os.read(ours, 65_536)
            except OSError:  # the other side of a terminal is closed
                break
        assert running.wait(20) == 0
        assert b"Traceback" not in seen
    finally:
        running.kill()
        os.close(ours)


def top(observed: Observed, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "millstream", "top", "--url", observed.service.url, *arguments],
        env=environment_with({"COLUMNS": "120"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
