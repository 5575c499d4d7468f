"""The embedded Redis: what its 202 rests on, who may use its files, and what a crash leaves behind."""

import asyncio
import os
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from events.redis_setup import check_server
from millstream.embedded import SOCKET_PATH_BYTES_MAX, EmbeddedRedis, redis_server_binary
from millstream.errors import ExitCode, Stop
from tests.waiting import is_alive, wait_until

ORPHAN_MAKER = """
import asyncio, os, signal, sys
from pathlib import Path
from millstream.embedded import EmbeddedRedis

async def main():
    redis = await EmbeddedRedis(Path(sys.argv[1])).__aenter__()
    print(redis.pid, redis.url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
"""A supervisor that is killed: nothing of its own clean-up runs, and its server lives on."""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ms-") as directory:
        yield Path(directory)


@pytest.fixture
def long_data_dir(data_dir: Path) -> Path:
    """One whose socket would not fit into a socket address."""
    return data_dir / ("a-folder-with-a-long-name-" * 4) / "数据目录"


@asynccontextmanager
async def client_of(redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis.url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


def status_of(path: Path) -> os.stat_result:
    return path.stat()


async def orphan_in(data_dir: Path) -> int:
    """Leaves a server behind whose supervisor was killed; its pid."""
    maker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN_MAKER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(maker.communicate(), 30)
    assert maker.returncode == -signal.SIGKILL
    pid, url = said.decode().split(maxsplit=1)
    assert is_alive(int(pid))
    client = Redis.from_url(url.strip())
    await client.set("fact", "of the one before")
    await client.aclose()
    return int(pid)


async def test_every_promise_about_durability_is_a_setting_of_the_server(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        await check_server(client)
        config = await client.config_get("*")
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "always"
        assert config["maxmemory-policy"] == "noeviction"
        assert config["save"] == ""
        assert config["dir"] == str((data_dir / "redis").resolve())
        assert (await client.info("persistence"))["aof_enabled"] == 1


async def test_nobody_else_reaches_it(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        assert (await client.config_get("port"))["port"] == "0"
        socket = Path(redis.url.removeprefix("unix://"))
        found = status_of(socket)
        assert stat.S_ISSOCK(found.st_mode)
        assert found.st_mode & 0o077 == 0
        assert found.st_uid == os.getuid()


async def test_data_survive_stop_and_start(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        await client.set("fact", "kept")
        pid = redis.pid
    assert not is_alive(pid)
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        assert redis.pid != pid
        assert await client.get("fact") == "kept"


async def test_data_survive_kill_9(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis:
        async with client_of(redis) as client:
            for number in range(100):
                await client.rpush("facts", number)
        os.kill(redis.pid, signal.SIGKILL)
        assert await redis.wait() == -signal.SIGKILL
        assert not redis.is_running
        await redis.start()
        async with client_of(redis) as client:
            assert await client.lrange("facts", 0, -1) == [str(number) for number in range(100)]


async def test_a_torn_end_of_the_file_costs_only_what_was_never_confirmed(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        await client.set("fact", "kept")
        await client.set("torn", "x" * 1_000)
    newest = max((data_dir / "redis").glob("**/*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size - 500)
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        assert await client.get("fact") == "kept"
        assert await client.get("torn") is None


async def test_a_second_service_on_the_same_data_directory_is_refused(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as first, client_of(first) as client:
        await client.set("fact", "kept")
        with pytest.raises(Stop) as refused:
            await EmbeddedRedis(data_dir).__aenter__()
        assert refused.value.exit_code is ExitCode.CONFIGURATION
        assert str(data_dir) in refused.value.what
        assert "MILLSTREAM_DATA_DIR" in refused.value.hint
        assert await client.get("fact") == "kept", "the first goes on as if nothing had been"
    async with EmbeddedRedis(data_dir) as next_one:
        assert next_one.is_running


async def test_two_data_directories_live_side_by_side(data_dir: Path, long_data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir) as one, EmbeddedRedis(long_data_dir) as other:
        assert one.url != other.url
        async with client_of(one) as client, client_of(other) as neighbour:
            await client.set("fact", "mine")
            assert await neighbour.get("fact") is None


async def test_the_server_of_a_killed_supervisor_is_taken_down_at_the_next_start(data_dir: Path) -> None:
    orphan = await orphan_in(data_dir)
    async with EmbeddedRedis(data_dir) as redis, client_of(redis) as client:
        await wait_until(lambda: not is_alive(orphan), "the orphan has ended")
        assert redis.pid != orphan
        assert await client.get("fact") == "of the one before"


async def test_a_long_path_works_and_its_orphan_is_found_too(long_data_dir: Path) -> None:
    assert len(os.fsencode(long_data_dir)) > SOCKET_PATH_BYTES_MAX
    orphan = await orphan_in(long_data_dir)
    async with EmbeddedRedis(long_data_dir) as redis, client_of(redis) as client:
        await wait_until(lambda: not is_alive(orphan), "the orphan has ended")
        socket = Path(redis.url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES_MAX
        assert status_of(socket.parent).st_mode & 0o077 == 0
        assert await client.get("fact") == "of the one before"
    assert not socket.parent.exists()


async def test_a_socket_folder_that_others_may_enter_is_refused(long_data_dir: Path) -> None:
    async with EmbeddedRedis(long_data_dir) as redis:
        folder = Path(redis.url.removeprefix("unix://")).parent
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    try:
        with pytest.raises(Stop) as refused:
            await EmbeddedRedis(long_data_dir).__aenter__()
    finally:
        folder.rmdir()
    assert refused.value.exit_code is ExitCode.CONFIGURATION
    assert str(folder) in refused.value.what


async def test_a_server_that_cannot_start_says_why_and_frees_the_data_directory(data_dir: Path) -> None:
    async with EmbeddedRedis(data_dir):
        pass
    manifest = next((data_dir / "redis").glob("**/*.manifest"))
    whole = manifest.read_bytes()
    manifest.write_bytes(b"file nonsense seq x type y\n")
    with pytest.raises(Stop) as refused:
        await EmbeddedRedis(data_dir).__aenter__()
    assert "redis-server ended at start" in refused.value.what
    assert "redis.log" in refused.value.hint
    manifest.write_bytes(whole)
    async with EmbeddedRedis(data_dir) as redis:
        assert redis.is_running


async def test_a_server_on_the_path_is_taken_only_if_it_is_new_enough(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = data_dir / "redis-server"
    monkeypatch.setenv("PATH", str(data_dir), prepend=":")
    for version, is_taken in [("7.2.4", False), ("7.2.5", True), ("8.2.3", True)]:
        on_path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 malloc=libc bits=64'\n")
        on_path.chmod(0o755)
        assert (redis_server_binary() == on_path) is is_taken
