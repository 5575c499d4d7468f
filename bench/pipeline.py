"""A whole service under 200 small uploads: POST to 202, 202 to searchable, documents a second.

Starts `millstream up` on a temporary data directory and a free port, warms it up with one document, then sends uploads
of one 3 kB document each, ten at a time. "Searchable" is the moment at which the task's stream says that it has ended.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

import httpx
import httpx_sse
import msgspec

from millstream.settings import Settings
from millstream.supervisor import Supervisor

UPLOADS = int(os.environ.get("UPLOADS", "200"))
IN_FLIGHT = 10
SENTENCE = (
    "Sample {n}: the runner stone was lifted, its furrows dressed with pick {n}, and set back at a gap of {n} microns. "
)
"""Every document differs, so that nothing can be reused; about 25 sentences make 3 kB."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds from the start of the POST to the 202, and from there to searchable."""

    accepted_s: float
    searchable_s: float


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="millstream-bench-") as data_dir:
        settings = Settings(
            data_dir=data_dir, port=0, log_level="warning", embedding=os.environ.get("EMBEDDING", "local")
        )
        async with Supervisor(settings, lambda _line: None) as supervisor:
            await supervisor.wait_until_ready()
            await measure(supervisor.url)


async def measure(url: str) -> None:
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", limits=limits, timeout=300, trust_env=False) as client:
        created = await client.post("/knowledge-bases", json={"name": "bench"})
        knowledge_base = created.json()["knowledge_base_id"]
        await one_upload(client, knowledge_base, -1, asyncio.Semaphore(1))
        in_flight = asyncio.Semaphore(IN_FLIGHT)
        started_s = time.perf_counter()
        timings = await asyncio.gather(*(one_upload(client, knowledge_base, n, in_flight) for n in range(UPLOADS)))
        took_s = time.perf_counter() - started_s
    report(timings, took_s)


async def one_upload(client: httpx.AsyncClient, knowledge_base: str, n: int, in_flight: asyncio.Semaphore) -> Timing:
    text = "".join(SENTENCE.format(n=n * 100 + line) for line in range(25))
    async with in_flight:
        started_s = time.perf_counter()
        files = {"file": (f"sample-{n}.txt", text.encode(), "text/plain")}
        response = await client.post(f"/knowledge-bases/{knowledge_base}/documents", files=files)
        accepted_s = time.perf_counter()
    assert response.status_code == 202, response.text
    await until_ended(client, response.json()["task_id"])
    return Timing(accepted_s - started_s, time.perf_counter() - accepted_s)


async def until_ended(client: httpx.AsyncClient, task_id: str) -> None:
    async with httpx_sse.aconnect_sse(client, "GET", f"/tasks/{task_id}/stream") as source:
        async for event in source.aiter_sse():
            if event.event == "status" and event.json()["status"] in {"completed", "failed", "partial"}:
                assert event.json()["status"] == "completed", event.data
                return


def report(timings: Sequence[Timing], took_s: float) -> None:
    accepted_ms = sorted(one.accepted_s * 1_000 for one in timings)
    searchable_s = sorted(one.searchable_s for one in timings)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    print(f"{machine}, {len(timings)} uploads of 3 kB")
    print(f"POST to 202, {IN_FLIGHT} at a time: {shown(accepted_ms, 'ms')}")
    print(f"202 to searchable, all queued: {shown(searchable_s, 's')}")
    print(f"{len(timings)} documents searchable in {took_s:.1f} s: {len(timings) / took_s:.1f} documents/s")


def shown(values: Sequence[float], unit: str) -> str:
    """Median and 99th percentile of sorted values."""
    p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
    return f"p50 {statistics.median(values):.2f} {unit}, p99 {p99:.2f} {unit}"


if __name__ == "__main__":
    asyncio.run(main())
