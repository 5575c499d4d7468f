"""Fixtures of a real Redis; a test module asks for them with `pytest_plugins = ("tests.servers.redis",)`.

Types and functions come from `tests.servers.redis_process`: a plugin must not be imported before pytest does it.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from events.redis_clients import Clients, make_clients
from tests.servers.redis_process import RedisProcess, redis_binary


@pytest.fixture
def redis_directory() -> Iterator[Path]:
    """Short, as a unix socket's path ends after 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ms-redis-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """One server for the session; never killed by a test."""
    with tempfile.TemporaryDirectory(prefix="ms-redis-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def redis_clients(redis_server: RedisProcess) -> AsyncIterator[Clients]:
    """Clients of the session's server, emptied before the test."""
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
        yield clients


@pytest.fixture
def own_redis(redis_directory: Path) -> Iterator[RedisProcess]:
    """A started server that this test may kill, stop and start."""
    server = RedisProcess(redis_binary(), redis_directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()
