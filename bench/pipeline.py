"""Whole pipelines: small documents from their acceptance until they can be searched, beside loops without a log.

    PYTHONPATH=src:. python bench/pipeline.py [--documents 1000] [--beside 300] [--rounds 5]
                                              [--embeddings local wordllama]

Texts of 3 kB, all different. Millstream: `millstream up` with its defaults (one worker a core) takes them over HTTP,
ten files a request, ten requests at a time; the clock runs from the first byte until every task has ended. The plain
loop (same parser, splitter, embedder and index) and LlamaIndex' IngestionPipeline (its SentenceSplitter at the same
size, the same embedder, its vector store in memory) have the texts in memory, and as many processes with an equal part
each, warm when the clock starts. The floor (pipeline_floor.py) has the obligations of ours in the fewest lines: the
same requests, files synced, lines in Redis' log, texts read in a child, one table. As many documents as are promised
go through ours and through whom it is held to; those without a goal get `--beside` of them, and start and end weigh
more in their rates. CPU is that of all processes of one side, Redis and children among them, the client's not. Then
uploads of one document each: from POST to 202, from there to searchable. Goals: see promises.py and ADR 70.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final, Protocol

import httpx
import httpx_sse
import msgspec
from redis import Redis

from bench.child import until_answers
from bench.figures import Peer, note, reported
from bench.pipeline_floor import ACCEPTED, GROUP
from bench.pipeline_loop import EMBEDDINGS, name_of, text_of
from bench.processor_time import processor_s
from millstream.settings import Settings
from millstream.supervisor import Supervisor
from tests.servers.ports import free_port
from tests.servers.redis_process import RedisProcess, redis_binary

ROOT: Final = Path(__file__).resolve().parents[1]
PROCESSES: Final = os.cpu_count() or 1
FILES_A_REQUEST: Final = 10
IN_FLIGHT: Final = 10
WARM: Final = 20
ALONE: Final = 30
LOOPS: Final = ("loop", "llamaindex")
THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LANCE_LOG": "error"}
"""As the service sets them for its processes."""

ENVIRONMENT: Final = {**os.environ, **THREADS, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
OURS: Final = "millstream"
FLOOR: Final = "floor"
NAMES: Final = {"loop": "plain loop", "llamaindex": "LlamaIndex", FLOOR: "floor"}
HELD_TO: Final = {"local": "loop", "wordllama": FLOOR}
"""Whom the goals are about (promises.py), by embedding."""


class Round(msgspec.Struct, frozen=True):
    """What one side did in one round; `cpu_ms` of all its processes, a document."""

    rate_hz: float
    cpu_ms: float


class Side(Protocol):
    """Somebody who makes documents searchable."""

    @property
    def pids(self) -> Collection[int]:
        """Of its processes; those below them are found."""
        ...

    async def take(self, first: int, count: int) -> None:
        """Returns when all of them can be searched."""
        ...


async def measured(side: Side, first: int, count: int) -> Round:
    """Some 10 ms of processor time may be counted too much or too little."""
    before_s, begun_s = processor_s(side.pids), time.perf_counter()
    await side.take(first, count)
    took_s = time.perf_counter() - begun_s
    return Round(count / took_s, (processor_s(side.pids) - before_s) * 1_000 / count)


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds from the start of the POST to the 202, and from there to searchable."""

    accepted_ms: float
    searchable_ms: float


class Mill:
    """A running service, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient, supervisor: Supervisor) -> None:
        self._client = client
        self._supervisor = supervisor
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def create(self) -> str:
        """The path of a new knowledge base."""
        created = await self._client.post("/knowledge-bases", json={"name": f"bench {time.time_ns()}"})
        return f"/knowledge-bases/{created.json()['knowledge_base_id']}"

    @property
    def pids(self) -> Collection[int]:
        return self._supervisor.pids.values()

    async def take(self, first: int, count: int) -> None:
        path = await self.create()
        await asyncio.gather(*(self._through(path, part) for part in requests_of(first, count)))

    async def _through(self, path: str, numbers: Sequence[int]) -> None:
        async with self._slots:
            task = await self._post(path, numbers)
        while (await self._client.get(f"/tasks/{task}?wait=10&until=ended")).json()["finished_at"] is None:
            pass
        ended = (await self._client.get(f"/tasks/{task}")).json()
        assert ended["status"] == "completed", ended

    async def _post(self, path: str, numbers: Sequence[int]) -> str:
        answer = await self._client.post(f"{path}/documents", files=files_of(numbers))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    async def alone(self, path: str, number: int) -> Timing:
        """One document, nothing else to do."""
        begun_s = time.perf_counter()
        task = await self._post(path, [number])
        accepted_s = time.perf_counter()
        async with httpx_sse.aconnect_sse(self._client, "GET", f"/tasks/{task}/stream") as source:
            async for event in source.aiter_sse():
                if event.event == "status" and event.json()["status"] == "completed":
                    break
        return Timing((accepted_s - begun_s) * 1_000, (time.perf_counter() - accepted_s) * 1_000)


class Floor:
    """The processes of pipeline_floor.py and a Redis of their own, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient, processes: Sequence[subprocess.Popen[str]], redis_pid: int) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.pids: Collection[int] = [*(process.pid for process in processes), redis_pid]

    async def take(self, first: int, count: int) -> None:
        await asyncio.gather(*(self._through(part) for part in requests_of(first, count)))

    async def _through(self, numbers: Sequence[int]) -> None:
        async with self._slots:
            answer = await self._client.post("/documents", files=files_of(numbers))
            assert answer.status_code == 202, answer.text
        ended = await self._client.get(f"/tasks/{answer.json()['task']}")
        assert ended.json() == {"left": 0}, ended.text


def requests_of(first: int, count: int) -> list[range]:
    numbers = range(first, first + count)
    return [numbers[start : start + FILES_A_REQUEST] for start in range(0, count, FILES_A_REQUEST)]


def files_of(numbers: Sequence[int]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("file", (name_of(number), text_of(number).encode(), "text/plain")) for number in numbers]


class Loops:
    """As many processes as cores, each with its part; see pipeline_loop.py."""

    def __init__(self, stack: ExitStack, kind: str, embedding: str) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-"))
        command = ["bench.pipeline_loop", kind, embedding, folder]
        self._processes = [_started(stack, command) for _ in range(PROCESSES)]
        self.pids: Collection[int] = [process.pid for process in self._processes]
        for process in self._processes:
            _await_line(process, "done")

    async def take(self, first: int, count: int) -> None:
        await asyncio.to_thread(self._take, first, count // PROCESSES)

    def _take(self, first: int, each: int) -> None:
        for place, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(f"{first + place * each} {each}\n")
            process.stdin.flush()
        for process in self._processes:
            _await_line(process, "done")


def _started(stack: ExitStack, command: Sequence[str], variables: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stack.callback(_end, process)
    return process


def _await_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n", "a process ended"


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def measure(embedding: str, documents: int, beside: int, rounds: int) -> None:
    async with AsyncExitStack() as stack:
        mill = await _mill(stack, embedding)
        sides: dict[str, Side] = {OURS: mill, FLOOR: await _floor(stack, embedding)}
        sides |= {kind: Loops(stack.enter_context(ExitStack()), kind, embedding) for kind in LOOPS}
        for warmed in (OURS, FLOOR):
            await sides[warmed].take(0, WARM)
        found: dict[str, list[Round]] = {name: [] for name in sides}
        counts = {name: documents if name in (OURS, HELD_TO[embedding]) else beside for name in sides}
        for number in range(1, rounds + 1):
            for name, side in sides.items():
                found[name].append(await measured(side, number * documents, counts[name]))
        if embedding == "local":
            path = await mill.create()
            note_alone([await mill.alone(path, -number) for number in range(1, ALONE + 1)])
    note_beside(embedding, found)
    for name, done in found.items():
        rate_hz, cpu_ms = (statistics.median(getattr(one, of) for one in done) for of in ("rate_hz", "cpu_ms"))
        print(f"{embedding}, {counts[name]} documents: {name:<11} {rate_hz:6.1f}/s {cpu_ms:7.2f} ms CPU", flush=True)


def note_beside(embedding: str, found: Mapping[str, Sequence[Round]]) -> None:
    ours = found[OURS]
    for kind, name in NAMES.items():
        rates, cpu = [one.rate_hz for one in found[kind]], [one.cpu_ms for one in found[kind]]
        beside = Peer(name, rates)
        note(f"{embedding}: documents, beside {name}", "documents/s", [one.rate_hz for one in ours], beside=beside)
        beside = Peer(name, cpu)
        note(f"{embedding}: CPU of a document, beside {name}", "ms", [one.cpu_ms for one in ours], beside=beside)


async def _floor(stack: AsyncExitStack, embedding: str) -> Floor:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-")))
    (folder / "redis").mkdir()
    redis = RedisProcess(redis_binary(), folder / "redis")
    redis.start()
    stack.callback(redis.stop)
    with Redis.from_url(redis.url) as client:
        client.xgroup_create(ACCEPTED, GROUP, mkstream=True)
    processes, variables, port = stack.enter_context(ExitStack()), {"REDIS_URL": redis.url}, free_port()
    worker = ["bench.pipeline_floor", "worker", embedding, str(folder)]
    workers = [_started(processes, worker, variables) for _ in range(PROCESSES)]
    api = _started(processes, ["bench.pipeline_floor", "api", str(folder), str(port)], variables)
    for process in workers:
        _await_line(process, "ready")
    await asyncio.to_thread(until_answers, api, f"http://127.0.0.1:{port}/")
    client = await stack.enter_async_context(_client(f"http://127.0.0.1:{port}"))
    return Floor(client, [api, *workers], redis.pid)


async def _mill(stack: AsyncExitStack, embedding: str) -> Mill:
    data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-"))
    settings = EMBEDDINGS[embedding].settings
    chosen = Settings(
        data_dir=data_dir, port=0, log_level="warning", writes_per_minute_max=0, reads_per_minute_max=0, **settings
    )
    supervisor = await stack.enter_async_context(Supervisor(chosen, lambda _line: None))
    await supervisor.wait_until_ready()
    return Mill(await stack.enter_async_context(_client(f"{supervisor.url}/api/v1")), supervisor)


def _client(base_url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    return httpx.AsyncClient(base_url=base_url, limits=limits, timeout=300, trust_env=False)


def note_alone(timings: Sequence[Timing]) -> None:
    for name, values in (
        ("POST to 202", [one.accepted_ms for one in timings]),
        ("202 to searchable", [one.searchable_ms for one in timings]),
    ):
        ordered = sorted(values)
        p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        note(f"one document alone, {name}: p50", "ms", p50)
        print(f"one document alone, {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)


async def main(documents: int, beside: int, rounds: int, embeddings: Sequence[str]) -> None:
    for embedding in embeddings:
        await measure(embedding, documents, beside, rounds)


if __name__ == "__main__":
    with reported():
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--documents", type=int, default=1_000)
        parser.add_argument("--beside", type=int, default=300)
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--embeddings", nargs="+", choices=list(EMBEDDINGS), default=list(EMBEDDINGS))
        chosen = parser.parse_args()
        asyncio.run(main(chosen.documents, min(chosen.beside, chosen.documents), chosen.rounds, chosen.embeddings))
