"""The supervisor: what it starts, what it keeps alive, and what it leaves behind."""

import ast
import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from millstream.child import Child, ChildSpec
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from millstream.supervisor import Supervisor, environment_of, listen
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.waiting import is_alive, wait_until

pytest_plugins = ("tests.servers.redis",)

SUPERVISED = """
import asyncio, sys
from millstream.settings import Settings
from millstream.supervisor import Supervisor

async def main():
    settings = Settings(data_dir=sys.argv[1], port=0, workers=1, embedding="hash")
    async with Supervisor(settings, lambda line: None) as supervisor:
        await supervisor.wait_until_ready()
        print(supervisor.pids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ms-") as directory:
        yield Path(directory)


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=str(data_dir), port=0, workers=1, log_level="error", embedding="hash")


def niceness_of_session(leader: int) -> int | None:
    """None where the kernel does not weigh sessions."""
    group = Path(f"/proc/{leader}/autogroup")
    return int(group.read_text().rpartition("nice")[2]) if group.exists() else None


async def health(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{url}/readyz")).status_code


async def test_it_starts_a_redis_and_each_role_with_a_line_and_leaves_nothing(settings: Settings) -> None:
    lines: list[str] = []
    async with Supervisor(settings, lines.append) as supervisor:
        await supervisor.wait_until_ready()
        assert await health(supervisor.url) == 200
        pids = supervisor.pids
        assert sorted(pids) == ["api", "projector", "redis", "worker-1"]
        assert [line.split()[0] for line in lines] == ["redis", "api", "projector", "worker-1"]
        assert all(line.split()[1:3] == ["pid", str(pids[line.split()[0]])] for line in lines)
        niceness = {name: os.getpriority(os.PRIO_PROCESS, pid) for name, pid in pids.items()}
        assert niceness == {"api": 0, "projector": 0, "redis": 0, "worker-1": settings.worker_niceness}
        # The kernel takes a few of these a second of all processes together: a worker asks again meanwhile.
        weighed = {settings.worker_niceness, None}
        await wait_until(lambda: niceness_of_session(pids["worker-1"]) in weighed, "the worker's session gives way")
    assert [name for name, pid in pids.items() if is_alive(pid)] == []


async def test_redis_that_dies_is_started_again_with_its_data(settings: Settings) -> None:
    async with Supervisor(settings, lambda _: None) as supervisor:
        await supervisor.wait_until_ready()
        async with httpx.AsyncClient(base_url=supervisor.url, trust_env=False, timeout=30) as client:
            created = await client.post("/api/v1/knowledge-bases", json={"name": "kept"})
            assert created.status_code == 201, created.text
            killed = supervisor.pids["redis"]
            os.kill(killed, signal.SIGKILL)
            await wait_until(lambda: supervisor.pids["redis"] != killed, "redis was started again")
            await supervisor.wait_until_ready()
            path = created.json()["links"]["self"]
            assert (await client.get(path)).json()["name"] == "kept"


async def test_a_killed_supervisor_takes_its_roles_with_it_and_the_next_takes_over(
    settings: Settings, data_dir: Path
) -> None:
    """However hard it dies: the roles read the end of the pipe that it held, and drain."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISED, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = await asyncio.wait_for(process.stdout.readline(), 60)
    pids: dict[str, int] = ast.literal_eval(said.decode())
    process.kill()
    await process.wait()
    orphan = pids.pop("redis")
    await wait_until(lambda: not any(map(is_alive, pids.values())), "the roles have drained")
    assert is_alive(orphan)
    async with Supervisor(settings, lambda _: None) as supervisor:
        await supervisor.wait_until_ready()
        assert not is_alive(orphan)


async def test_a_configured_redis_is_used_and_none_is_started(settings: Settings, own_redis: RedisProcess) -> None:
    configured = msgspec.structs.replace(settings, redis_url=own_redis.url)
    async with Supervisor(configured, lambda _: None) as supervisor:
        await supervisor.wait_until_ready()
        assert "redis" not in supervisor.pids
    assert not (settings.data_path / "redis").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--maxmemory-policy", "allkeys-lru"), "noeviction"), (("--appendonly", "no"), "appendonly")],
    ids=["evicting", "without append-only file"],
)
async def test_a_redis_that_may_lose_facts_is_refused_before_anything_starts(
    settings: Settings, redis_directory: Path, options: tuple[str, ...], reason: str
) -> None:
    server = RedisProcess(redis_binary(), redis_directory, *options)
    server.start()
    try:
        stop = await refusal_of(msgspec.structs.replace(settings, redis_url=server.url))
    finally:
        server.stop()
    assert stop.exit_code is ExitCode.CONFIGURATION
    assert reason in stop.what


async def refusal_of(settings: Settings) -> Stop:
    lines: list[str] = []
    with pytest.raises(Stop) as refused:
        await Supervisor(settings, lines.append).__aenter__()
    assert [line for line in lines if not line.startswith("redis ")] == [], "no role was started"
    return refused.value


async def test_a_redis_that_does_not_answer_is_named_without_its_password(settings: Settings) -> None:
    stop = await refusal_of(msgspec.structs.replace(settings, redis_url="redis://:hush@127.0.0.1:1/0"))
    assert stop.exit_code is ExitCode.UNREACHABLE
    assert "127.0.0.1:1" in stop.what
    assert "hush" not in f"{stop.what}{stop.hint}"
    assert "MILLSTREAM_REDIS_URL" in stop.hint


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1"])
async def test_a_url_that_is_none_of_redis_is_a_matter_of_configuration(settings: Settings, url: str) -> None:
    stop = await refusal_of(msgspec.structs.replace(settings, redis_url=url))
    assert stop.exit_code is ExitCode.CONFIGURATION
    assert "MILLSTREAM_REDIS_URL" in stop.what


async def test_another_number_of_partitions_than_the_stored_one_is_refused(settings: Settings) -> None:
    async with Supervisor(msgspec.structs.replace(settings, partitions=3), lambda _: None):
        pass
    stop = await refusal_of(msgspec.structs.replace(settings, partitions=4))
    assert stop.exit_code is ExitCode.CONFIGURATION
    assert "the store has 3, not 4" in stop.what


async def test_a_port_in_use_is_refused_before_anything_starts(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stop = await refusal_of(msgspec.structs.replace(settings, port=taken.getsockname()[1]))
    assert stop.exit_code is ExitCode.UNREACHABLE
    assert "in use" in stop.what
    assert "MILLSTREAM_PORT" in stop.hint
    assert not (settings.data_path / "redis").exists()


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(Stop) as unknown:
        listen("no-such-host.invalid", 0)
    assert unknown.value.exit_code is ExitCode.CONFIGURATION
    with pytest.raises(Stop) as foreign:
        listen("192.0.2.1", 0)
    assert foreign.value.exit_code is ExitCode.UNREACHABLE


async def test_a_role_that_dies_is_started_again(settings: Settings, own_redis: RedisProcess) -> None:
    configured = msgspec.structs.replace(settings, redis_url=own_redis.url)
    spec = ChildSpec(name="projector", arguments=("projector", "--supervised"))
    child = Child(spec, {**os.environ, **environment_of(configured)}, lambda _: None)
    keeper = asyncio.create_task(child.keep_running())
    await wait_until(lambda: child.is_running, "it runs")
    first = child.pid
    os.kill(first, signal.SIGKILL)
    await wait_until(lambda: child.is_running and child.pid != first, "it runs again")
    assert child.restarts == 1
    await child.stop(within_s=10)
    await asyncio.wait_for(keeper, 20)
    assert not is_alive(child.pid)
