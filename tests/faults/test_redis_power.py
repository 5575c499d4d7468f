"""The power goes: with `appendfsync always` nothing that was acknowledged is missing, with `everysec` something is."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from events.document import StepStarted
from events.errors import LogUnavailable
from events.ids import DocumentId
from events.log import Appended
from events.redis_clients import make_clients
from events.steps import Step
from tests.contract.log_world import RedisWorld
from tests.event_samples import new_document, new_knowledge_base, new_task, write
from tests.faults.checker import verdict
from tests.faults.documents import documents_of, evidence_of, submit_each, texts
from tests.faults.evidence import Evidence
from tests.faults.history import History
from tests.faults.mill import WORKERS, Mill
from tests.faults.redis_load import append_only_file
from tests.faults.results import ROUNDS, recorded
from tests.servers.fsync_shim import cut_power, fsync_shim, synced_bytes
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.waiting import poll

pytest_plugins = ("tests.servers.redis",)

ACKNOWLEDGED_MIN = 10_000
WRITERS = 200
SWEPT_S_MAX = 30.0
KB = new_knowledge_base()
TASK = new_task()
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")


@contextmanager
def preloaded(monkeypatch: pytest.MonkeyPatch, directory: Path) -> Iterator[None]:
    """Processes that are started inside have their syncs noted."""
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(fsync_shim(directory)))
        yield


@pytest.fixture(params=["always", "everysec"])
def server(
    request: pytest.FixtureRequest, redis_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RedisProcess, str]]:
    """A server whose syncs are noted, and its policy."""
    server = RedisProcess(redis_binary(), redis_directory, "--appendfsync", request.param)
    with preloaded(monkeypatch, redis_directory):
        server.start()
    try:
        yield server, request.param
    finally:
        server.stop()


@pytest.mark.timeout(300 * ROUNDS)
async def test_what_was_acknowledged_survives_a_power_cut_where_redis_syncs_always(
    server: tuple[RedisProcess, str],
) -> None:
    process, policy = server
    with recorded("F-12", f"power cut, {policy}", "kill -9, append-only file cut to its last fsync") as row:
        acknowledged = await _append_until_killed(process)
        bytes_lost = cut_power(process.directory)
        process.start()
        async with make_clients(process.url) as clients:
            evidence = await Evidence.read(RedisWorld(clients).log)
        lost = len(acknowledged - evidence.documents.keys())
        row.add({"acknowledged": len(acknowledged), "lost": lost, "bytes_cut": bytes_lost})
        assert len(acknowledged) >= ACKNOWLEDGED_MIN
        assert evidence.number_gaps == evidence.version_gaps == evidence.repeated_ids == 0
        assert (lost == 0) == (policy == "always"), "everysec must lose something, or this test shows nothing"


def test_uploads_that_a_redis_which_syncs_once_a_second_has_lost_are_accepted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        recorded("F-11", "power cut, everysec, whole service", "as F-12; sidecars are swept") as row,
        Mill({"MILLSTREAM_RECONCILE_AGE_S": "1"}, ["--appendfsync", "everysec"]) as mill,
    ):
        with preloaded(monkeypatch, mill.directory):
            mill.redis.start()
        mill.start_roles([WORKERS[0]])
        warnings = httpx.get(f"{mill.url}/readyz", trust_env=False).json()["warnings"]
        assert "everysec" in warnings[0]
        assert all('"redis_may_lose_events"' in log for log in mill.logs().values())
        with History(mill.url) as history:
            kb = history.create("F-11")
            before = append_only_file(mill.redis.directory).stat().st_size
            poll(lambda: synced_bytes(mill.redis.directory) >= before, "the knowledge base is on the disk")
            submit_each(history, kb, texts(20, "in a hurry"))
            mill.redis.kill()
            bytes_lost = cut_power(mill.redis.directory)
            mill.stop(WORKERS[0])
            mill.redis.start()
            began_s, there = time.monotonic(), evidence_of(mill).documents.keys()
            lost = sum(one not in there for one in documents_of(history.accepted))
            mill.cont(WORKERS[0])
            poll(lambda: '"reconciled"' in mill.log(WORKERS[0]), "the sidecars were swept", SWEPT_S_MAX)
            poll(lambda: _are_known(mill, history), "every upload is known again", SWEPT_S_MAX)
            swept_s = time.monotonic() - began_s
            judged = verdict(mill, history, kb).assert_clean()
            row.add({**judged.figures, "lost_before_sweep": lost, "bytes_cut": bytes_lost, "swept_s": swept_s})
            assert lost > 0, "nothing was lost, so nothing was shown"


def _are_known(mill: Mill, history: History) -> bool:
    return evidence_of(mill).documents.keys() >= set(documents_of(history.accepted))


async def _append_until_killed(process: RedisProcess) -> set[DocumentId]:
    acknowledged: set[DocumentId] = set()
    enough = asyncio.Event()

    async def append(world: RedisWorld) -> None:
        while True:
            document = new_document()
            try:
                answer = await world.log.append([write(document, 0, STARTED, knowledge_base=KB, task=TASK)])
            except LogUnavailable:
                return
            assert isinstance(answer, Appended)
            acknowledged.add(document)
            if len(acknowledged) >= ACKNOWLEDGED_MIN:
                enough.set()

    async with make_clients(process.url) as clients:
        writers = [asyncio.create_task(append(RedisWorld(clients))) for _ in range(WRITERS)]
        await enough.wait()
        process.kill()
        await asyncio.gather(*writers)
    return acknowledged
