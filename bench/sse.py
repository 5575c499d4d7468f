"""Event streams: cost of a delivery, from the fact to the client, memory of open streams, on one real server.

    PYTHONPATH=src:. python bench/sse.py [streams] [idle streams]

Clients, API, projector and tailer share this process. A broadcast (one knowledge base watched by all) is held against
the bare loop that writes as many bytes to as many asyncio transports in the same run. The first one is told apart: with
it each stream asks, once, whether what its beginning told may be forgotten. Goals: at most 25 µs a delivery; with
1,000 streams open p50 3 ms and p99 15 ms from the fact to the client of its own task; at most 40 kB for each of 5,000
open streams.
"""

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

from bench.figures import Peer, note, reported
from events.ids import TaskId
from events.redis_clients import make_clients
from millstream.collecting import collect_seldom
from tests.read_world import World
from tests.servers.read_api import ReadApi
from tests.servers.redis_process import RedisProcess, redis_binary

DELIVERY_GOAL_US: Final = 25
P50_GOAL_MS: Final = 3
P99_GOAL_MS: Final = 15
STREAM_GOAL_BYTES: Final = 40_000
BROADCASTS: Final = 20
FACTS: Final = 200
END: Final = b"event: status"


class Counter(asyncio.Protocol):
    """A client that counts the states it was told and keeps nothing."""

    told = 0
    waiting: asyncio.Event | None = None

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        count = data.count(END)
        self.seen += count
        Counter.told += count
        if Counter.waiting is not None:
            Counter.waiting.set()


async def told(count: int) -> None:
    while Counter.told < count:
        Counter.waiting = asyncio.Event()
        await Counter.waiting.wait()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def opened(api: ReadApi, path: str, count: int) -> list[tuple[asyncio.Transport, Counter]]:
    address = urlsplit(api.url)
    request = f"GET {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    assert address.hostname is not None
    assert address.port is not None
    loop, found, before = asyncio.get_running_loop(), list[tuple[asyncio.Transport, Counter]](), Counter.told
    for _ in range(count):
        found.append(await loop.create_connection(lambda: Counter(request), address.hostname, address.port))
    await told(before + count)
    return found


async def closed(clients: list[tuple[asyncio.Transport, Counter]]) -> None:
    """Until the server has let go of them too: it counts them against those that are opened next."""
    before = open_descriptors()
    for transport, _ in clients:
        transport.close()
    while open_descriptors() > before - 2 * len(clients):  # noqa: ASYNC110  both ends are in this process
        await asyncio.sleep(0.05)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def bare_broadcast(streams: int, payload: bytes) -> float:
    """µs of processor time a write of the same bytes to as many clients of a bare asyncio server, both ends counted."""
    writers, is_full = list[asyncio.StreamWriter](), asyncio.Event()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if len(writers) == streams:
            is_full.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port, loop = server.sockets[0].getsockname()[1], asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: Counter(b""), "127.0.0.1", port))[0] for _ in range(streams)]
    await is_full.wait()
    begun_s = time.process_time()
    for _ in range(BROADCASTS):
        wanted = Counter.told + streams
        for writer in writers:
            writer.write(payload)
        await told(wanted)
    spent_us = (time.process_time() - begun_s) / (BROADCASTS * streams) * 1_000_000
    for client in clients:
        client.close()
    server.close()
    return spent_us


async def measure_broadcast(world: World, api: ReadApi, streams: int) -> None:
    knowledge_base = await world.workshop.create("broadcast")
    await world.project()
    clients = await opened(api, f"/knowledge-bases/{knowledge_base}/stream", streams)
    spent = list[float]()
    for _ in range(1 + BROADCASTS):
        wanted = Counter.told + streams
        await world.workshop.submit(knowledge_base)
        begun_s = time.process_time()
        await world.project()
        await told(wanted)
        spent.append((time.process_time() - begun_s) / streams * 1_000_000)
    await closed(clients)
    first_us, *spent = spent
    ours = statistics.median(spent)
    bare = await bare_broadcast(streams, END + b"\ndata: " + b"x" * 700 + b"\n\n")
    note("broadcast: a delivery, both ends", "µs", spent, beside=Peer("bare loop", [bare]))
    note("broadcast: the first delivery of a stream, both ends", "µs", first_us)
    note("broadcast: a delivery less a bare one", "µs", [one - bare for one in spent])
    print(
        f"broadcast to {streams:,}: {ours:.1f} µs CPU a delivery, both ends   bare loop {bare:.1f} µs"
        f"   ours less bare {ours - bare:.1f} µs ({(ours - bare) / DELIVERY_GOAL_US:.2f} of what it may be)"
        f"   the first of a stream {first_us:.0f} µs"
    )


async def measure_latency(world: World, api: ReadApi, streams: int) -> None:
    """From the answer of the append to the first byte at the client, while as many streams are open on one base."""
    knowledge_base = await world.workshop.create("latency")
    elsewhere = await world.workshop.create("elsewhere")
    idle = await opened(api, f"/knowledge-bases/{elsewhere}/stream", streams - 1)
    own = await world.workshop.submit(knowledge_base, FACTS)
    task: TaskId = own[0]
    async with world.projecting():
        ((transport, client),) = await opened(api, f"/tasks/{task}/stream", 1)
        found_ms = list[float]()
        for document in own[1]:
            seen = client.seen
            await world.workshop.start(document)
            begun_s = time.perf_counter()
            while client.seen == seen:
                Counter.waiting = asyncio.Event()
                await Counter.waiting.wait()
            found_ms.append((time.perf_counter() - begun_s) * 1_000)
        transport.close()
    await closed(idle)
    found_ms.sort()
    p50, p99 = found_ms[len(found_ms) // 2], found_ms[len(found_ms) * 99 // 100]
    for name, took_ms in (("p50", p50), ("p99", p99)):
        note(f"fact to client, {streams:,} open: {name}", "ms", took_ms)
    print(
        f"fact to client with {streams:,} streams open: p50 {p50:.1f} ms ({p50 / P50_GOAL_MS:.2f} of the goal)"
        f"   p99 {p99:.1f} ms ({p99 / P99_GOAL_MS:.2f})"
    )


async def measure_memory(world: World, api: ReadApi, streams: int) -> None:
    """Both ends in this process, so an upper bound: a bare client takes about 3 kB of it."""
    knowledge_base = await world.workshop.create("memory")
    await world.project()
    before = resident_bytes()
    clients = await opened(api, f"/knowledge-bases/{knowledge_base}/stream", streams)
    each = (resident_bytes() - before) / streams
    await closed(clients)
    note(f"memory of an open stream, {streams:,} open", "kB", each / 1_000)
    print(f"{streams:,} open: {each / 1_000:.1f} kB each, both ends ({each / STREAM_GOAL_BYTES:.2f} of what it may be)")


async def main(streams: int, idle: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * idle)), hard))
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with AsyncExitStack() as stack:
                clients = await stack.enter_async_context(make_clients(server.url))
                world = World(clients)
                api = await stack.enter_async_context(world.serving(streams_max=4 * idle))
                await measure_memory(world, api, idle)
                await measure_broadcast(world, api, streams)
                await measure_latency(world, api, streams)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        given = [int(argument) for argument in sys.argv[1:]]
        collect_seldom()  # as the API does, and on the loop that it runs on
        uvloop.run(main(*(given + [1_000, 5_000][len(given) :])))
