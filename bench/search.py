"""Searches over HTTP on 50,000 chunks, alone and while documents come in, beside the bare engine.

    PYTHONPATH=src:. python bench/search.py [--chunks N] [--queries N]

Starts `millstream up` with one worker on a temporary data directory. The rows are written straight into its index:
texts of the public collections in ../shared/data/retrieval, each a little different, with random unit vectors of the
local model's length. Queries are the collections' own, English and Chinese in turn, one at a time, and go the whole
way: HTTP, local model, LanceDB, fusion, local reranker. The bare engine is LanceDB's own hybrid query (its rank fusion)
on the same table, asked in this process with the same words and vectors: alone, with the embedding of the query, which
happens here too, and once more as if the table had no index on its vectors. CPU is that of the API's process, or of
this one: it holds on a busy machine. Rounds go through all of them in turn, so that what else the machine does hits all
alike. Hybrid searches and those of the engine that they are held to are three times as many as the others: of 150 the
p99 would be the slowest but one.

Goals: at least 0.7 of the engine's rate in mode hybrid; p99 60 ms; while documents come in at most twice that.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from bench.figures import reported
from bench.retrieval import BASELINES, DATA, read_collection
from bench.search_engine import Engine, fill
from bench.search_figures import ENGINE, ENGINE_EMBEDDING, ENGINE_SCANNING, Figures, report
from knowledge.embedders import USE_MODEL, make_embedder
from knowledge.index import IndexTable
from knowledge.lance_imports import import_lancedb
from knowledge.table_names import name_of
from millstream.settings import Settings
from millstream.supervisor import Supervisor

ROUNDS: Final = 3
INGESTED_TOGETHER: Final = 4
MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    "keyword": {"mode": "keyword"},
    "vector": {"mode": "vector"},
    "hybrid": {"mode": "hybrid"},
    "enhanced": {"mode": "hybrid", "profile": "enhanced"},
}
PARAGRAPH: Final = (
    "Sack {n}: the runner stone was lifted, its furrows dressed with pick {n}, and set back. 第{n}袋面粉。 "
)

MANY: Final = ("hybrid", ENGINE_EMBEDDING)
"""Whose p99 is promised, and beside whom: asked `MANY_TIMES` as many queries as the others."""

MANY_TIMES: Final = 3

THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LANCE_LOG": "error"}
"""As the service sets them for its processes."""

Ask = Callable[[str], Awaitable[object]]


class Asked(msgspec.Struct, frozen=True):
    """Whom to ask, and in which process (None: this one) that is work."""

    ask: Ask
    pid: int | None


async def timed(ask: Ask, queries: Sequence[str]) -> list[float]:
    taken = []
    for query in queries:
        started = time.perf_counter()
        await ask(query)
        taken.append((time.perf_counter() - started) * 1_000)
    return taken


async def measure(asks: Mapping[str, Asked], queries: Sequence[str]) -> dict[str, Figures]:
    """The first third of the queries is for all, the others are for `MANY` alone."""
    for_all = queries[: len(queries) // MANY_TIMES]
    figures = {name: Figures([]) for name in asks}
    for number in range(ROUNDS):
        for name, asked in asks.items():
            before = cpu_ms(asked.pid)
            asking = queries if name in MANY else for_all
            figures[name].rounds.append(await timed(asked.ask, asking[number::ROUNDS]))
            figures[name].cpu_ms += cpu_ms(asked.pid) - before
    return figures


def cpu_ms(pid: int | None) -> float:
    if pid is None:
        return time.process_time() * 1_000
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * 1_000 / os.sysconf("SC_CLK_TCK")


def pid_of_api() -> int:
    """The child of this process that is the API."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return next(int(pid) for pid in children if b"api" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))


@asynccontextmanager
async def ingesting(client: httpx.AsyncClient, path: str) -> AsyncIterator[list[int]]:
    """Documents of 3 kB come in, some at a time; the list has one entry for each that became searchable."""
    done: list[int] = []

    async def upload(first: int) -> None:
        for number in range(first, 1_000_000, INGESTED_TOGETHER):
            text = "".join(PARAGRAPH.format(n=number * 100 + line) for line in range(25)).encode()
            sent = await client.post(f"{path}/documents", files={"file": (f"{number}.txt", text, "text/plain")})
            task = f"/tasks/{sent.json()['task_id']}?wait=5"
            while (await client.get(task)).json()["finished_at"] is None:
                pass
            done.append(number)

    tasks = [asyncio.create_task(upload(first)) for first in range(INGESTED_TOGETHER)]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [one for one in ended if isinstance(one, Exception)]
    assert not failed, failed


async def run(chunks: int, queries_max: int) -> None:
    collections = [read_collection(name, queries_max * MANY_TIMES) for name in BASELINES]
    texts = [text for one in collections for text in one.documents.values()]
    queries = [query for pair in zip(*(one.queries.values() for one in collections), strict=False) for query in pair]
    queries = queries[: queries_max * MANY_TIMES]
    embedder = make_embedder(USE_MODEL)
    vectors = {query: await embedder.embed_query(query) for query in queries}
    with tempfile.TemporaryDirectory(prefix="millstream-bench-") as data_dir:
        settings = Settings(
            data_dir=data_dir, port=0, log_level="warning", workers=1, searches_per_minute_max=0, reads_per_minute_max=0
        )
        async with (
            Supervisor(settings, lambda _line: None) as supervisor,
            httpx.AsyncClient(timeout=60, trust_env=False) as client,
        ):
            await supervisor.wait_until_ready()
            client.base_url = httpx.URL(f"{supervisor.url}/api/v1")
            created = (await client.post("/knowledge-bases", json={"name": "bench"})).json()["knowledge_base_id"]
            path, table = f"/knowledge-bases/{created}", IndexTable(created, 1)
            loaded_s = await fill(Path(data_dir) / "index", table, chunks, texts, embedder.dimensions)
            each = len(queries) // MANY_TIMES
            print(f"{machine()}; {chunks:,} chunks written in {loaded_s:.0f} s; {each} queries a row")

            def searching(options: Mapping[str, Any]) -> Ask:
                async def ask(query: str) -> None:
                    answer = await client.post(f"{path}/search", json={"query": query, **options})
                    assert answer.status_code == 200, answer.text

                return ask

            connection = await import_lancedb().connect_async(str(Path(data_dir) / "index"))
            rows = await connection.open_table(name_of(table))
            engine, scanning = Engine(rows, vectors), Engine(rows, vectors, scans=True)

            async def engine_embedding(query: str) -> None:
                await embedder.embed_query(query)
                await engine.ask(query)

            api = pid_of_api()
            asks = {name: Asked(searching(options), api) for name, options in MODES.items()}
            asks |= {ENGINE: Asked(engine.ask, None), ENGINE_EMBEDDING: Asked(engine_embedding, None)}
            asks |= {ENGINE_SCANNING: Asked(scanning.ask, None)}
            await measure(asks, queries[: ROUNDS * MANY_TIMES])  # loads what is loaded at the first call
            alone = await measure(asks, queries)
            async with ingesting(client, path) as done:
                started = time.perf_counter()
                beside = await measure(asks, queries)
                rate = len(done) / (time.perf_counter() - started)
    await embedder.close()
    report(alone, beside, rate, MODES)


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, load {load:.1f}"


def with_threads() -> None:
    """Begins anew where the threads of numpy are not set: they are read when it is imported, which has happened."""
    if not THREADS.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS})  # noqa: S606  ourselves again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=50_000, help="chunks in the index (default 50,000)")
    parser.add_argument("--queries", type=int, default=150, help="queries of each row (default 150; hybrid: 3 times)")
    arguments = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"the collections are not at {DATA}")
    asyncio.run(run(arguments.chunks, arguments.queries))


if __name__ == "__main__":
    with_threads()
    with reported():
        main()
