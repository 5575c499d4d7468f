"""Real API processes that die, freeze and go on while a worker over gRPC holds what they leased."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import grpc
import pytest

from domain.status import DocumentPhase
from millstream.grpc.refusals import CODE
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.v1.tasks_pb2_grpc import TaskServiceStub
from tests.e2e.api import Api
from tests.faults.mill import API, PROJECTOR, WAIT_S_MAX, Mill, Role
from tests.waiting import poll

FIRST = "api-first"
LEASE_S = 6
"""Of a worker; that of an API process as a consumer is 2 s, so it is taken for dead long before."""


class Worker(NamedTuple):
    """One poll at one API process."""

    deliveries: Any

    def next(self) -> pb.Delivery:
        delivery: pb.Delivery = next(self.deliveries)
        return delivery


class Site(NamedTuple):
    """`second` serves HTTP too; `first` is the one that is hurt."""

    mill: Mill
    api: Api
    first: TaskServiceStub
    second: TaskServiceStub


@pytest.fixture
def site() -> Iterator[Site]:
    """Two API processes on one Redis, each with gRPC; parsing and embedding are left to the tests."""
    variables = {"MILLSTREAM_GRPC_LEASE_S": str(LEASE_S), "MILLSTREAM_STEPS_ELSEWHERE": "parse,embed"}
    with ExitStack() as stack:
        mill = stack.enter_context(Mill(variables))
        mill.redis.start()
        serving = {"MILLSTREAM_GRPC_PORT": "0"}
        mill.start(Role.API, API, variables=serving)
        mill.start(Role.API, FIRST, waits=False, variables={**serving, "MILLSTREAM_PORT": "0"})
        mill.start(Role.PROJECTOR, PROJECTOR, waits=False)
        mill.start(Role.WORKER, "worker-1", waits=False)
        mill.wait_ready("worker-1")
        stubs = []
        for name in (FIRST, API):
            mill.wait_for_line(name, "grpc_listening")
            (port,) = re.findall(r'"port": ?(\d+)', _line(mill, name, "grpc_listening"))
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            # The first call would else make the connection while a lease of 6 s runs.
            grpc.channel_ready_future(channel).result(WAIT_S_MAX)
            stubs.append(TaskServiceStub(channel))  # type: ignore[no-untyped-call]  # generated
        yield Site(mill, stack.enter_context(Api(mill.url)), *stubs)


def _line(mill: Mill, name: str, event: str) -> str:
    return next(line for line in mill.log(name).splitlines() if event in line)


@contextmanager
def polling(stub: Any, name: str, *steps: pb.Step) -> Iterator[Worker]:
    call = stub.PollSteps(pb.PollStepsRequest(steps=steps or (pb.STEP_PARSE,), worker=name))
    try:
        yield Worker(call)
    finally:
        call.cancel()


def parsed(stub: Any, lease: str, text: str) -> None:
    result = pb.ParsedText(pages=[pb.PageText(text=text)])
    stub.CompleteStep(pb.CompleteStepRequest(lease=lease, parsed=result), timeout=WAIT_S_MAX)


def embedded(stub: Any, delivery: pb.Delivery) -> None:
    rows = [pb.Vector(values=[1.0 + len(text)] * delivery.embed.dimensions) for text in delivery.embed.texts]
    stub.CompleteStep(pb.CompleteStepRequest(lease=delivery.lease, vectors=pb.Vectors(vectors=rows)))


def embed_all(stub: Any, worker: Worker, asked: list[str]) -> None:
    """Until the poll is ended."""
    with suppress(grpc.RpcError):
        while True:
            delivery = worker.next()
            asked.extend(delivery.embed.texts)
            embedded(stub, delivery)


def code_of(refused: Any) -> str:
    """Of an RpcError, which is a call too."""
    return str(dict(refused.trailing_metadata() or ()).get(CODE, ""))


def facts_of(site: Site, task: str) -> list[dict[str, Any]]:
    answer = site.api.http.get(f"/tasks/{task}/events", params={"limit": 200})
    facts: list[dict[str, Any]] = json.loads(answer.content)["data"]
    return facts


def starts_of(site: Site, task: str, step: str) -> list[str]:
    """The workers that began a step, in order."""
    data = [fact["data"] for fact in facts_of(site, task) if fact["type"] == "StepStarted"]
    return [one["worker"].split("@")[0] for one in data if one["step"] == step]


def count_of(site: Site, task: str, kind: str) -> int:
    return [fact["type"] for fact in facts_of(site, task)].count(kind)


def uploaded(site: Site, name: str) -> str:
    return site.api.upload(site.api.create(name), [(f"{name}.txt", f"The {name} of the miller.".encode())])


def test_what_a_killed_process_leased_is_renewed_and_completed_at_another(site: Site) -> None:
    task = uploaded(site, "killed")
    with ExitStack() as stack:
        holder = stack.enter_context(polling(site.first, "holder"))
        delivery = holder.next()
        idle = stack.enter_context(polling(site.second, "idle"))
        site.mill.kill(FIRST)
        with pytest.raises(grpc.RpcError):
            holder.next()
        # Longer than the dead process is waited for: what its worker is at is nobody else's.
        for _ in range(4):
            site.second.ReportProgress(pb.ReportProgressRequest(lease=delivery.lease))
            with pytest.raises(grpc.FutureTimeoutError):
                idle.deliveries.result(timeout=1)
        source = b"".join(one.data for one in site.second.ReadSource(pb.ReadSourceRequest(lease=delivery.lease)))
        assert source == b"The killed of the miller."
        parsed(site.second, delivery.lease, "Read at the other.")
        parsed(site.second, delivery.lease, "Repeated.")
    with polling(site.second, "embedder", pb.STEP_EMBED) as embedder:
        embedded(site.second, embedder.next())
        site.api.ended(task)

    assert starts_of(site, task, "parse") == ["holder"], "the attempt that was begun is the one that ended"
    assert count_of(site, task, "DocumentParsed") == count_of(site, task, "DocumentEmbedded") == 1
    assert count_of(site, task, "StepFailed") == 0


def test_what_a_killed_process_leased_to_a_silent_worker_is_another_workers_once(site: Site) -> None:
    task = uploaded(site, "silent")
    with polling(site.first, "zombie") as zombie:
        delivery = zombie.next()
        site.mill.kill(FIRST)
    with polling(site.second, "heir") as heir:
        again = heir.next()
        assert (again.document_id, again.attempt) == (delivery.document_id, 2)
        with pytest.raises(grpc.RpcError) as refused:
            parsed(site.second, delivery.lease, "Too late.")
        assert code_of(refused.value) == "lease_lost"
        parsed(site.second, again.lease, "In time.")
        with pytest.raises(grpc.RpcError) as refused:
            parsed(site.second, delivery.lease, "Much too late.")
        assert code_of(refused.value) == "lease_lost"

    assert starts_of(site, task, "parse") == ["zombie", "heir"]
    assert count_of(site, task, "DocumentParsed") == 1


def test_a_process_that_is_killed_between_two_batches_costs_none_of_them(site: Site) -> None:
    """The one that was in the worker's hands is recorded at the other process, the rest is asked for there."""
    task = uploaded(site, "batches")
    asked: list[str] = []
    with polling(site.first, "holder", pb.STEP_PARSE, pb.STEP_EMBED) as holder:
        parsed(site.first, holder.next().lease, " ".join(f"磨坊{n} dresses stone {n}." for n in range(12_000)))
        for stub in (site.second, site.first):  # the attempt goes on at the process that it began at
            delivery = holder.next()
            asked.extend(delivery.embed.texts)
            embedded(stub, delivery)
        delivery = holder.next()
        asked.extend(delivery.embed.texts)
        site.mill.kill(FIRST)
        embedded(site.second, delivery)
        embedded(site.second, delivery)
    with ThreadPoolExecutor(1) as aside, polling(site.second, "heir", pb.STEP_EMBED) as heir:
        embedding = aside.submit(embed_all, site.second, heir, asked)
        site.api.ended(task, WAIT_S_MAX)
    embedding.result()

    (document,) = site.api.documents(task)
    assert (document.status, len(asked)) == (DocumentPhase.COMPLETED, document.counts.chunks), (
        "none was asked for twice"
    )
    assert starts_of(site, task, "embed") == ["holder", "heir"]
    failures = [fact["data"]["code"] for fact in facts_of(site, task) if fact["type"] == "StepFailed"]
    assert failures == ["worker_stopped"], "which counts as no attempt"
    assert count_of(site, task, "DocumentEmbedded") == 1


def test_a_process_that_was_frozen_finds_its_attempt_ended_and_goes_on(site: Site) -> None:
    task = uploaded(site, "frozen")
    with polling(site.first, "patient") as patient:
        delivery = patient.next()
        site.mill.stop(FIRST)
        parsed(site.second, delivery.lease, "Read while it stood still.")
        site.mill.cont(FIRST)
        site.mill.wait_for_line(FIRST, "attempt_superseded")
        with pytest.raises(grpc.RpcError) as refused:
            site.first.ReportProgress(pb.ReportProgressRequest(lease=delivery.lease))
        assert code_of(refused.value) == "lease_lost"
        parsed(site.first, delivery.lease, "Repeated where it was leased.")

        next_task = uploaded(site, "next")
        parsed(site.first, patient.next().lease, "Its slot is free again.")
        poll(lambda: count_of(site, next_task, "DocumentParsed") == 1, "the next is parsed")

    assert starts_of(site, task, "parse") == ["patient"]
    assert count_of(site, task, "DocumentParsed") == 1
