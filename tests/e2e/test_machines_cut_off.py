"""Two APIs, two workers, two projectors, each on a host of its own, whose cables are pulled while they work.

A pulled cable is not a killed process: nobody is told, connections stay open on both ends, and whoever was cut off
comes back later with what it had in hand (`tests.servers.namespaces`).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import httpx_sse
import msgspec
import pytest

from domain.status import DocumentPhase, DocumentStatus, TaskPhase
from events.envelope import Envelope
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from events.steps import Step
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.faults.evidence import Evidence
from tests.faults.mill import Role
from tests.faults.scenes import log_times, started_at
from tests.servers.machines import Machine, Machines
from tests.waiting import poll

PAPERS: Final = 20
"""More than are indexed in one commit, so that some are not done when the first one is."""

UNREACHABLE_S: Final = 1.0
COMES_BACK_S_MAX: Final = 60.0
"""TCP sends again after pauses that double: whoever was away for long is heard some seconds after its cable is in."""

VIEWS_LEASE_S: Final = 5.0
"""`projections.writer.LEASE_MS`."""


class World:
    """All machines, ready."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.apis = [machines.start(Role.API, f"api-{number}") for number in (1, 2)]
        self.workers = [machines.start(Role.WORKER, f"worker-{number}") for number in (1, 2)]
        self.projectors = [machines.start(Role.PROJECTOR, f"projector-{number}") for number in (1, 2)]
        for machine in (*self.apis, *self.workers, *self.projectors):
            machine.wait_ready()

    def evidence(self) -> Evidence:
        """The whole log."""
        return asyncio.run(self._read())

    async def _read(self) -> Evidence:
        async with make_clients(self.machines.redis.url) as clients:
            keys = await open_installation(clients.commands, partitions=None)
            return await Evidence.read(RedisLog(clients.commands, clients.blocking, keys))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Machines() as machines:
        yield World(machines)


@pytest.fixture
def first(world: World) -> Iterator[Api]:
    with Api(world.apis[0].mill.url, world.machines.key) as api:
        yield api


@pytest.fixture
def second(world: World) -> Iterator[Api]:
    with Api(world.apis[1].mill.url, world.machines.key) as api:
        yield api


@contextmanager
def cut(machine: Machine) -> Iterator[None]:
    """Its cable is out meanwhile."""
    machine.host.cut()
    try:
        yield
    finally:
        machine.host.mend()


def papers(first: int, count: int) -> list[tuple[str, bytes]]:
    return [(f"{number}.txt", text_of(number)) for number in range(first, first + count)]


def is_unreachable(world: World, machine: Machine) -> bool:
    try:
        httpx.get(f"{machine.mill.url}/healthz", timeout=UNREACHABLE_S, trust_env=False)
    except httpx.TimeoutException:
        return True
    return False


def documents_told(events: list[httpx_sse.ServerSentEvent]) -> list[DocumentStatus]:
    return [msgspec.json.decode(event.data, type=DocumentStatus) for event in events if event.event == "document"]


def starts_of_step(evidence: Evidence, document: str, step: Step) -> list[Envelope]:
    return [one for one in evidence.of_document(document) if getattr(one.event, "step", None) is step]


def test_what_is_uploaded_through_one_api_is_followed_and_found_through_both(
    world: World, first: Api, second: Api
) -> None:
    kb = first.create("both")
    task = first.upload(kb, papers(100, 2))
    with second.stream(task) as events:
        told = list(events)
    assert told[-1].event == "end"
    assert {one.status for one in second.documents(task)} == {DocumentPhase.COMPLETED}
    assert second.task(task) == first.task(task)
    for api in (first, second):
        found = api.search(kb, word_of(101), mode="keyword", top_k=50)
        assert {one.filename for one in found} == {"101.txt"}
    assert httpx.get(f"{first.http.base_url}tasks", trust_env=False).status_code == 401, "keys are needed"


def test_a_stream_whose_api_is_cut_off_goes_on_at_the_other_without_a_gap_or_a_repetition(
    world: World, first: Api, second: Api
) -> None:
    task = first.upload(first.create("streams"), papers(0, PAPERS))
    before: list[httpx_sse.ServerSentEvent] = []
    with first.stream(task) as events:
        for event in events:
            before.append(event)
            if event.id and any(one.status is DocumentPhase.COMPLETED for one in documents_told(before)):
                break
        with cut(world.apis[0]):
            assert is_unreachable(world, world.apis[0])
            with second.stream(task, last_event_id=before[-1].id) as rest:
                after = list(rest)
            assert second.task(task).status is TaskPhase.COMPLETED
    versions: dict[str, int] = {}
    for one in (*documents_told(before), *documents_told(after)):
        assert one.version > versions.get(one.document_id, 0), "told twice, or backwards"
        versions[one.document_id] = one.version
    assert documents_told(after), "all was over before the cable was out"
    assert after[-1].event == "end"
    assert versions == {one.document_id: one.version for one in second.documents(task)}, "a state was never told"
    assert not is_unreachable(world, world.apis[0])


def test_a_worker_that_is_cut_off_in_a_step_is_replaced_and_its_late_result_refused(
    world: World, first: Api, second: Api
) -> None:
    survivor, victim = world.workers
    victim.mill.kill(victim.name)
    victim.start(failpoints="worker.rows_written=stop")
    victim.wait_ready()
    survivor.mill.stop(survivor.name)
    kb = first.create("zombie")
    task = first.upload(kb, papers(200, 1))
    victim.mill.wait_for_failpoint("worker.rows_written")
    with cut(victim):
        cut_at = time.time()
        survivor.mill.cont(survivor.name)
        assert first.ended(task).status is TaskPhase.COMPLETED
        victim.mill.cont(victim.name)  # still cut off: what it says now is not heard
        refused_before = len(log_times(victim.mill, victim.name, "attempt_superseded"))
        assert refused_before == 0
    (document,) = first.documents(task)
    poll(
        lambda: len(log_times(victim.mill, victim.name, "attempt_superseded")) == 1,
        "the late result is refused",
        COMES_BACK_S_MAX,
    )
    evidence = world.evidence()
    claimed_at = started_at(evidence, document.document_id, survivor.name)
    assert min(claimed_at) > cut_at
    assert evidence.starts[document.document_id, Step.PARSE] == 2, "who was cut off had told of no further step"
    assert evidence.starts[document.document_id, Step.INDEX] == 1
    assert evidence.terminal_violations == evidence.repeated_ids == evidence.version_gaps == 0
    for api in (first, second):
        texts = [one.text for one in api.search(kb, word_of(200), mode="keyword", top_k=50)]
        assert texts
        assert len(texts) == len(set(texts)), "rows are there twice"


def test_a_projector_that_is_cut_off_is_replaced_within_its_lease(world: World, first: Api, second: Api) -> None:
    kb = first.create("views")
    holders = world.machines.projectors()
    victim = next(one for one in world.projectors if any(f"-{one.pid}-" in holder for holder in holders))
    other = next(one for one in world.projectors if one is not victim)
    partitions = len(holders)
    with cut(victim):
        began_s = time.monotonic()
        poll(
            lambda: [f"-{other.pid}-" in one for one in world.machines.projectors()] == [True] * partitions,
            "the other has every lease",
        )
        took_s = time.monotonic() - began_s
        task = first.upload(kb, papers(300, 2))
        first.ended(task)
        poll(
            lambda: [one["task_id"] for one in second.http.get("/tasks?status=completed").json()["data"]][:1] == [task],
            "the finished task is listed",
        )
    assert took_s < 3 * VIEWS_LEASE_S, "a lease is waited for, nothing else"
    poll(lambda: "projector_waits" in victim.mill.log(victim.name), "it has noticed", COMES_BACK_S_MAX)
    assert first.completed(kb, papers(310, 1))
    world.machines.command("replay", "--verify")
