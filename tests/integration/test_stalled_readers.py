"""Readers that stopped reading cost little and are cut off, whether bytes wait in the process or in the kernel."""

import contextlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from events.redis_clients import Clients
from tests.read_world import World
from tests.servers.read_api import ReadApi
from tests.waiting import wait_until

pytest_plugins = ("tests.servers.redis",)

READERS = 200
AT_ONCE = 20
DOCUMENTS = 120
STALL_S = 5.0
RSS_BYTES_MAX = 65_000_000
"""A process in which nothing ran before takes 49 to 52 MB: a quarter of a megabyte a reader, and what the first one
loads. The same once more takes 0.4 MB in it: what was freed is used again."""


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


def resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("resident memory is read from /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1_024


def stalled_reader(api: ReadApi, path: str) -> socket.socket:
    address = urlsplit(api.url)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.connect((address.hostname, address.port))
    reader.sendall(f"GET {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return reader


@pytest.mark.parametrize("send_buffer_bytes", [4_096, None], ids=["in the process", "in the kernel"])
async def test_two_hundred_stalled_readers_stay_small_and_are_cut_off(
    world: World, send_buffer_bytes: int | None
) -> None:
    if send_buffer_bytes is None and not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this kernel keeps a connection whose window stays shut")
    task, documents = await world.workshop.submit(await world.workshop.create(), DOCUMENTS)
    await world.project()
    settings = {"stall_s": STALL_S, "streams_max": READERS, "send_buffer_bytes": send_buffer_bytes}
    async with world.serving(**settings) as api:
        before = resident_bytes()
        with contextlib.ExitStack() as readers:
            # Some at a time, and each counts for good: on a busy machine two hundred at once wait too long for Redis
            # and are refused, and the first of them is cut off before the last is there.
            for opened in range(AT_ONCE, READERS + 1, AT_ONCE):
                for _ in range(AT_ONCE):
                    readers.enter_context(stalled_reader(api, f"/tasks/{task}/stream"))
                await wait_until(lambda opened=opened: api.begun == opened, f"{opened} streams are open")  # type: ignore[misc]
            most = 0
            for document in documents[:10]:
                await world.workshop.complete(document)
                await world.project()
                most = max(most, resident_bytes() - before)
            await wait_until(lambda: api.tailer.count == 0, "all were cut off", 60)
    print(f"{READERS} stalled readers: {most / 1e6:.1f} MB more resident memory")
    assert most <= RSS_BYTES_MAX
