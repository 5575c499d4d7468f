"""Two versions of the program on one Redis: side by side, one taken back after it wrote, and forward again."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from blobs.local import LocalBlobStore
from domain.commands import AcceptDocument, CreateKnowledgeBase, SubmitTask
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.handle import Context, Request, handle, handle_together
from domain.status import TaskPhase
from events.envelope import Envelope, UnknownEvent, UnknownReason
from events.ids import IdFactory, KnowledgeBaseId, TaskId, document_id
from events.knowledge_base import KnowledgeBaseSettings
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from projections.queries import Queries
from projections.redis_views import RedisViews
from tests.newer_version import SOURCE, newer_source
from tests.servers.redis_process import RedisProcess
from tests.servers.service_process import environment_with
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)

PARTITIONS: Final = 1
TEXT: Final = "The miller judges the meal by its touch. " * 20
WITHIN_S: Final = 120.0


class Roles:
    """Processes of either version."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._sources = {"old": SOURCE, "new": newer_source(folder)}
        self._environment = environment_with(
            {
                "MILLSTREAM_REDIS_URL": redis_url,
                "MILLSTREAM_DATA_DIR": str(folder / "data"),
                "MILLSTREAM_PARTITIONS": str(PARTITIONS),
                "MILLSTREAM_LEASE_S": "2",
                "MILLSTREAM_RETRY_BASE_MS": "50",
                "MILLSTREAM_LOG_FORMAT": "json",
                "MILLSTREAM_EMBEDDING": "hash",
            }
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, version: str, role: str, *arguments: str) -> str:
        name = f"{version}-{role}-{len(self._running)}"
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "millstream", role, *arguments],
                env={**self._environment, "PYTHONPATH": str(self._sources[version])},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return name

    def run(self, version: str, *arguments: str) -> tuple[int, Any]:
        ended = subprocess.run(
            [sys.executable, "-m", "millstream", *arguments, "--json"],
            env={**self._environment, "PYTHONPATH": str(self._sources[version])},
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=WITHIN_S,
        )
        assert b"Traceback" not in ended.stderr, ended.stderr.decode()
        return ended.returncode, msgspec.json.decode(ended.stdout or b"null")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self, name: str) -> None:
        """Drains; it has to end well."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, self.said(name)

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


class Mill:
    """What the test itself does, as the old version."""

    def __init__(self, clients: Clients, keys: Any, folder: Path) -> None:
        self.log = RedisLog(clients.commands, clients.blocking, keys)
        self.views = RedisViews(clients.commands, keys)
        self.queries = Queries(self.log, self.views)
        self.blobs = LocalBlobStore(folder / "data" / "blobs")
        self.ids = IdFactory(lambda: 1_700_000_000_000, os.urandom)

    async def create(self) -> KnowledgeBaseId:
        base = self.ids.knowledge_base(PARTITIONS)
        command = CreateKnowledgeBase(name="handbook", settings=KnowledgeBaseSettings(embedding_model="hash"))
        await handle(self.log, knowledge_base_decider(base), base, [command], self._context(base))
        return base

    async def submit(self, base: KnowledgeBaseId, count: int) -> TaskId:
        task = self.ids.task(base)
        requests: list[Request[Any, Any]] = [
            Request(TASK, task, (SubmitTask(knowledge_base_id=base, documents=count),))
        ]
        for ordinal in range(count):
            document = document_id(task, ordinal)
            stored = await self.blobs.put(f"documents/{document}/source@1", f"{ordinal} {TEXT}".encode())
            accept = AcceptDocument(
                knowledge_base_id=base,
                task_id=task,
                filename=f"{ordinal}.txt",
                media_type="text/plain",
                size_bytes=stored.size_bytes,
                sha256=stored.sha256,
                source_blob=stored.key,
            )
            requests.append(Request(DOCUMENT, document, (accept,)))
        assert all(one.envelopes for one in await handle_together(self.log, requests, self._context(task)))
        return task

    async def facts(self) -> list[Envelope]:
        page = await self.log.read(0, limit=10_000)
        return [one for one in page if isinstance(one, Envelope)]

    async def unknown(self, reason: UnknownReason) -> int:
        return sum(isinstance(one.event, UnknownEvent) and one.event.reason is reason for one in await self.facts())

    async def has_finished(self, task: TaskId) -> bool:
        return any(one.type == "TaskFinished" for one in await self.log.history(task))

    def _context(self, correlation_id: str) -> Context:
        return Context(
            clock_us=lambda: 1_700_000_000_000_000, new_event_id=self.ids.event, correlation_id=correlation_id
        )


@pytest.fixture
def roles(own_redis: RedisProcess) -> Iterator[Roles]:
    with tempfile.TemporaryDirectory(prefix="ms-versions-") as directory:
        found = Roles(Path(directory), own_redis.url)
        try:
            yield found
        finally:
            found.end()
            for log in sorted(Path(directory).glob("*.log")):
                print(log.name, log.read_text(errors="replace")[-4_000:], file=sys.stderr)


@pytest.fixture
async def mill(own_redis: RedisProcess, roles: Roles) -> AsyncIterator[Mill]:
    async with make_clients(own_redis.url) as clients:
        keys = await open_installation(clients.commands, partitions=PARTITIONS)
        yield Mill(clients, keys, roles.folder)


@pytest.mark.timeout(400)
async def test_old_and_new_side_by_side_then_back_then_forward(mill: Mill, roles: Roles) -> None:
    base = await mill.create()
    old_projector = roles.start("old", "projector")

    # Side by side: the new one parses, the old one has everything else and must not touch what it cannot read.
    new_parser = roles.start("new", "worker", "--steps", "parse")
    old_rest = roles.start("old", "worker", "--steps", "chunk,embed,index,finish,erase")
    parked = await mill.submit(base, 3)

    async def is_written_anew() -> bool:
        return await mill.unknown(UnknownReason.NEWER_VERSION) == 3

    await wait_for(is_written_anew, "three documents parsed by the newer version", WITHIN_S)

    async def is_given_back() -> bool:
        return "delivery_for_newer_program" in roles.said(old_rest)

    await wait_for(is_given_back, "the older worker gave one of them back", WITHIN_S)
    assert await mill.unknown(UnknownReason.UNKNOWN_TYPE) == 3

    # Taken back: with the newer version gone, whatever it did not touch goes on.
    roles.stop(new_parser)
    roles.stop(old_rest)
    old_worker = roles.start("old", "worker")
    plain = await mill.submit(base, 2)

    async def is_finished(task: TaskId) -> bool:
        return await mill.has_finished(task)

    await wait_for(lambda: is_finished(plain), "a task under the older version alone", WITHIN_S)
    assert not await mill.has_finished(parked)
    assert await _starts_of_chunking(mill, parked) == 0, "nobody decided about what nobody could read"

    # Forward again: nothing was lost, and the views that the older projector kept are made whole.
    roles.stop(old_worker)
    roles.stop(old_projector)
    roles.start("new", "worker")
    roles.start("new", "projector")
    await wait_for(lambda: is_finished(parked), "the parked task", WITHIN_S)

    async def is_told() -> bool:
        statuses = [await mill.queries.task(task) for task in (parked, plain)]
        return all(one.status is TaskPhase.COMPLETED for one in statuses)

    await wait_for(is_told, "both tasks are told as completed", WITHIN_S)
    exit_code, report = roles.run("new", "replay", "--verify")
    assert (exit_code, report["differences"]) == (0, [])
    assert (await mill.views.checkpoint(0)).unknown == 0
    parsed = [one for one in await mill.facts() if one.type == "DocumentParsed"]
    assert len(parsed) == 5, "each document was parsed once"


async def _starts_of_chunking(mill: Mill, task: TaskId) -> int:
    documents = {document_id(task, ordinal) for ordinal in range(3)}
    found = [one for one in await mill.facts() if one.stream_id in documents and one.type == "StepStarted"]
    return sum(getattr(one.event, "step", None) == "chunk" for one in found)
