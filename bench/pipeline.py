"""Whole pipelines: small documents from their acceptance until they can be searched, beside loops without a log.

    PYTHONPATH=src:. python bench/pipeline.py [--documents 1000] [--rounds 5] [--embeddings local wordllama]

Texts of 3 kB, all different. Millstream: `millstream up` with its defaults (one worker a core) takes them over HTTP,
ten files a request, ten requests at a time; the clock runs from the first byte until every task has ended. The plain
loop (same parser, splitter, embedder and index) and LlamaIndex' IngestionPipeline (its SentenceSplitter at the same
size, the same embedder, its vector store in memory) have the texts in memory, and as many processes with an equal part
each, warm when the clock starts. Then uploads of one document each: from POST to 202, from there to searchable.
Goals: 0.85 of the plain loop; with wordllama (which makes vectors almost for nothing) ahead of LlamaIndex.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final

import httpx
import httpx_sse
import msgspec

from bench.figures import Peer, note, reported
from bench.pipeline_loop import EMBEDDINGS, name_of, text_of
from millstream.settings import Settings
from millstream.supervisor import Supervisor

ROOT: Final = Path(__file__).resolve().parents[1]
PROCESSES: Final = os.cpu_count() or 1
FILES_A_REQUEST: Final = 10
IN_FLIGHT: Final = 10
WARM: Final = 20
ALONE: Final = 30
LOOPS: Final[Mapping[str, tuple[str, ...]]] = {"local": ("loop", "llamaindex"), "wordllama": ("loop", "llamaindex")}
THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LANCE_LOG": "error"}
"""As the service sets them for its processes."""

NAMES: Final = {"loop": "plain loop", "llamaindex": "LlamaIndex"}


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds from the start of the POST to the 202, and from there to searchable."""

    accepted_ms: float
    searchable_ms: float


class Mill:
    """A running service, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def create(self) -> str:
        """The path of a new knowledge base."""
        created = await self._client.post("/knowledge-bases", json={"name": f"bench {time.time_ns()}"})
        return f"/knowledge-bases/{created.json()['knowledge_base_id']}"

    async def documents_a_second(self, first: int, count: int) -> float:
        path, numbers = await self.create(), range(first, first + count)
        parts = [numbers[start : start + FILES_A_REQUEST] for start in range(0, count, FILES_A_REQUEST)]
        begun_s = time.perf_counter()
        await asyncio.gather(*(self._through(path, part) for part in parts))
        return count / (time.perf_counter() - begun_s)

    async def _through(self, path: str, numbers: Sequence[int]) -> None:
        async with self._slots:
            task = await self._post(path, numbers)
        while (await self._client.get(f"/tasks/{task}?wait=10")).json()["finished_at"] is None:
            pass
        ended = (await self._client.get(f"/tasks/{task}")).json()
        assert ended["status"] == "completed", ended

    async def _post(self, path: str, numbers: Sequence[int]) -> str:
        files = [("file", (name_of(number), text_of(number).encode(), "text/plain")) for number in numbers]
        answer = await self._client.post(f"{path}/documents", files=files)
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


class Loops:
    """As many processes as cores, each with its part; see pipeline_loop.py."""

    def __init__(self, stack: ExitStack, kind: str, embedding: str) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-"))
        self._processes = [self._start(stack, kind, embedding, folder) for _ in range(PROCESSES)]
        for process in self._processes:
            _answer(process)

    @staticmethod
    def _start(stack: ExitStack, kind: str, embedding: str, folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.pipeline_loop", kind, embedding, folder]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **THREADS, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.callback(_end, process)
        return process

    def documents_a_second(self, first: int, count: int) -> float:
        each, begun_s = count // PROCESSES, time.perf_counter()
        for place, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(f"{first + place * each} {each}\n")
            process.stdin.flush()
        for process in self._processes:
            _answer(process)
        return each * PROCESSES / (time.perf_counter() - begun_s)


def _answer(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n", "a loop ended"


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def measure(embedding: str, documents: int, rounds: int) -> None:
    found: dict[str, list[float]] = {"millstream": [], **{kind: [] for kind in LOOPS[embedding]}}
    async with AsyncExitStack() as stack:
        mill = await _mill(stack, embedding)
        loops = {kind: Loops(stack.enter_context(ExitStack()), kind, embedding) for kind in LOOPS[embedding]}
        await mill.documents_a_second(0, WARM)
        for number in range(1, rounds + 1):
            first = number * documents
            found["millstream"].append(await mill.documents_a_second(first, documents))
            for kind, one in loops.items():
                found[kind].append(await asyncio.to_thread(one.documents_a_second, first, documents))
        if embedding == "local":
            path = await mill.create()
            note_alone([await mill.alone(path, -number) for number in range(1, ALONE + 1)])
    for kind in LOOPS[embedding]:
        beside = Peer(NAMES[kind], found[kind])
        note(f"{embedding}: documents, beside {NAMES[kind]}", "documents/s", found["millstream"], beside=beside)
    told = ", ".join(f"{kind} {statistics.median(rates):.0f}/s" for kind, rates in found.items())
    print(f"{embedding}, {documents} documents: {told}", flush=True)


async def _mill(stack: AsyncExitStack, embedding: str) -> Mill:
    data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-"))
    settings = EMBEDDINGS[embedding].settings
    chosen = Settings(
        data_dir=data_dir, port=0, log_level="warning", writes_per_minute_max=0, reads_per_minute_max=0, **settings
    )
    supervisor = await stack.enter_async_context(Supervisor(chosen, lambda _line: None))
    await supervisor.wait_until_ready()
    client = httpx.AsyncClient(
        base_url=f"{supervisor.url}/api/v1",
        limits=httpx.Limits(max_connections=500, max_keepalive_connections=500),
        timeout=300,
        trust_env=False,
    )
    return Mill(await stack.enter_async_context(client))


def note_alone(timings: Sequence[Timing]) -> None:
    for name, values in (
        ("POST to 202", [one.accepted_ms for one in timings]),
        ("202 to searchable", [one.searchable_ms for one in timings]),
    ):
        ordered = sorted(values)
        p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        note(f"one document alone, {name}: p50", "ms", p50)
        print(f"one document alone, {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)


async def main(documents: int, rounds: int, embeddings: Sequence[str]) -> None:
    for embedding in embeddings:
        await measure(embedding, documents, rounds)


if __name__ == "__main__":
    with reported():
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--documents", type=int, default=1_000)
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--embeddings", nargs="+", choices=list(EMBEDDINGS), default=list(EMBEDDINGS))
        chosen = parser.parse_args()
        asyncio.run(main(chosen.documents, chosen.rounds, chosen.embeddings))
