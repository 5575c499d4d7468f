"""A mill of real processes that a test starts, kills, freezes and revives one by one."""

import enum
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple, Self

from millstream.settings import Settings, load_settings
from tests.servers.ports import reserved_port
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.service_process import environment_with, processes_in_sessions
from tests.waiting import is_alive, poll

WAIT_S_MAX: Final = 60.0
"""For what comes soon on an idle machine, and does come on a busy one."""
STOP_S_MAX: Final = 15.0
LOG_CHARS_SHOWN: Final = 4_000
LOOPBACK: Final = "127.0.0.1"

CANARY: Final = "canary-5d1c7e-must-never-be-seen"
"""Stands where secrets stand: in a setting of every process and in a header of every request."""

PROFILE: Final = {
    "MILLSTREAM_LEASE_S": "2",
    "MILLSTREAM_RETRY_BASE_MS": "50",
    "MILLSTREAM_PARTITIONS": "2",
    "MILLSTREAM_EMBEDDING": "hash",
    "MILLSTREAM_LOG_FORMAT": "json",
    "MILLSTREAM_OPENAI_API_KEY": CANARY,
    # Leases are short here: a worker that stood back for other tests would be taken for dead.
    "MILLSTREAM_WORKER_NICENESS": "0",
}
"""The heartbeat (0.4 s) and the search for the dead (0.5 s) follow from the lease."""

API, PROJECTOR, WORKERS = "api", "projector", ("worker-1", "worker-2")


class Role(enum.Enum):
    """What a process does; the value is its command."""

    API = "api"
    WORKER = "worker"
    PROJECTOR = "projector"


class Ended(NamedTuple):
    """How a process ended after SIGTERM: exit code (negative: killed by that signal) and the seconds that it took."""

    code: int
    seconds: float


class _Process(NamedTuple):
    role: Role
    popen: subprocess.Popen[bytes]
    log_from: int
    is_armed: bool


class Mill:
    """Everything lies in one short-named directory, which `end` removes; `with` ends it.

    `variables` are settings on top of PROFILE, `redis_options` go to redis-server. Roles reach Redis at `redis_url`,
    which a test may set to a proxy's address before it starts them; with `replicated_url` that is where Redis is, and
    none is started here. `program` is the module that they run, `host` the address that the API listens on.
    """

    def __init__(
        self,
        variables: Mapping[str, str] | None = None,
        redis_options: Sequence[str] = (),
        *,
        replicated_url: str = "",
        program: str = "millstream",
        host: str = LOOPBACK,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ms-mill-"))
        self.data_dir = self.directory / "data"
        self.failpoints_dir = self.directory / "failpoints"
        for path in (self.data_dir, self.failpoints_dir, self.directory / "redis"):
            path.mkdir()
        self.redis = RedisProcess(redis_binary(), self.directory / "redis", *redis_options)
        self._stores_url = replicated_url or self.redis.url
        self.redis_url = self._stores_url
        self._variables = dict(variables or {})
        self._program = program
        self.host = host
        self._port = reserved_port()
        self._processes: dict[str, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # Starting

    def start_all(self, workers: Iterable[str] = WORKERS) -> Self:
        """Redis and every role, side by side; returns when all are ready."""
        self.redis.start()
        self.start_roles(workers)
        return self

    def start_roles(self, workers: Iterable[str] = WORKERS) -> None:
        """Every role, side by side; returns when all are ready."""
        names = list(workers)
        self.start(Role.API, API, waits=False)
        self.start(Role.PROJECTOR, PROJECTOR, waits=False)
        for name in names:
            self.start(Role.WORKER, name, waits=False)
        for name in (API, PROJECTOR, *names):
            self.wait_ready(name)

    def start(
        self,
        role: Role,
        name: str,
        *,
        failpoints: str = "",
        waits: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> int:
        """The pid of a new process in a session of its own; with `waits` it is ready. `variables` are its own.

        Places among `failpoints` that have fired before may fire again.
        """
        assert not self.is_running(name), f"{name} runs already"
        for place in re.findall(r"([a-z._]+)=", failpoints):
            (self.failpoints_dir / place).unlink(missing_ok=True)
        arguments = ["--name", name] if role is Role.WORKER else []
        own = self._of(failpoints) | dict(variables or {})
        log = self.log_path(name)
        log_from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", self._program, role.value, *arguments],
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment_with(own)},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._processes[name] = _Process(role, popen, log_from, bool(failpoints))
        if waits:
            self.wait_ready(name)
        return popen.pid

    def revive(self, name: str, *, failpoints: str = "", waits: bool = True) -> int:
        """Starts a process that has ended anew, in the same role."""
        return self.start(self._processes[name].role, name, failpoints=failpoints, waits=waits)

    def wait_ready(self, name: str) -> None:
        """Returns when the process serves, or has ended because an armed failpoint let it."""
        process = self._processes[name]
        poll(lambda: self.is_ready(name) or not self.is_running(name), f"{name} is ready", WAIT_S_MAX)
        is_up = self.is_running(name) or process.is_armed
        assert is_up, f"{name} ended at start:\n{self._log_since(name, process)[-LOG_CHARS_SHOWN:]}"

    # Faults

    def kill(self, name: str) -> int:
        """As a crash takes a process; its pid."""
        popen = self._processes[name].popen
        popen.kill()
        popen.wait()
        return popen.pid

    def stop(self, name: str) -> None:
        """Freezes a process, as a paused machine does; returns when it stands."""
        os.kill(self.pid(name), signal.SIGSTOP)
        poll(lambda: self.is_stopped(name), f"{name} stands still")

    def cont(self, name: str) -> None:
        """Lets a frozen process go on, unless it is gone."""
        if self.is_running(name):
            os.kill(self.pid(name), signal.SIGCONT)

    def terminate(self, name: str) -> Ended:
        """Asks a process to end and waits for it."""
        popen, began_s = self._processes[name].popen, time.monotonic()
        popen.terminate()
        code = popen.wait(STOP_S_MAX)
        return Ended(code, time.monotonic() - began_s)

    def wait_for_death(self, name: str, within_s: float = WAIT_S_MAX) -> int:
        """The exit code of a process that dies by itself."""
        popen = self._processes[name].popen
        poll(lambda: popen.poll() is not None, f"{name} has died", within_s)
        return popen.returncode

    def wait_for_failpoint(self, place: str, within_s: float = WAIT_S_MAX) -> None:
        """Returns when a process has come to the place that was armed, and the armed action is done."""
        marker = self.failpoints_dir / place
        poll(marker.exists, f"a process has come to {place}", within_s)

    def has_fired(self, place: str) -> bool:
        return (self.failpoints_dir / place).exists()

    # Looking

    @property
    def url(self) -> str:
        """Where the API is to be reached, the same after each revival."""
        return f"http://{self.host}:{self.port}"

    @property
    def port(self) -> int:
        return int(self._port.getsockname()[1])

    @property
    def settings(self) -> Settings:
        """Those of every role, for looking at the stores directly: past any proxy before Redis."""
        return load_settings(self._of("") | {"MILLSTREAM_REDIS_URL": self._stores_url}).settings

    @property
    def names(self) -> tuple[str, ...]:
        """Every process that was ever started, by name."""
        return tuple(self._processes)

    def pid(self, name: str) -> int:
        return self._processes[name].popen.pid

    def is_running(self, name: str) -> bool:
        """Whether the process lives, frozen or not."""
        return name in self._processes and self._processes[name].popen.poll() is None

    def is_stopped(self, name: str) -> bool:
        stat = Path(f"/proc/{self.pid(name)}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def log_path(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def log(self, name: str) -> str:
        """What a process wrote, those that it took the place of included."""
        path = self.log_path(name)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def logs(self) -> dict[str, str]:
        return {name: self.log(name) for name in self._processes}

    def wait_for_line(self, name: str, words: str, within_s: float = WAIT_S_MAX) -> None:
        """Returns when the process's present run has logged a line with these words."""
        process = self._processes[name]
        poll(lambda: words in self._log_since(name, process), f"{name} says {words}", within_s)

    def end(self) -> None:
        """Takes everything down, however it stands."""
        pids = {process.popen.pid for process in self._processes.values()}
        for pid in (*pids, *processes_in_sessions(pids)):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.popen.wait()
        self.redis.stop()
        self._port.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _of(self, failpoints: str) -> dict[str, str]:
        fixed = {
            "MILLSTREAM_REDIS_URL": self.redis_url,
            "MILLSTREAM_DATA_DIR": str(self.data_dir),
            "MILLSTREAM_HOST": self.host,
            "MILLSTREAM_PORT": str(self.port),
            "MILLSTREAM_FAILPOINTS": failpoints,
            "MILLSTREAM_FAILPOINTS_DIR": str(self.failpoints_dir),
        }
        return {**PROFILE, **fixed, **self._variables}

    def _log_since(self, name: str, process: _Process) -> str:
        return self.log_path(name).read_bytes()[process.log_from :].decode(errors="replace")

    def is_ready(self, name: str) -> bool:
        """Whether the process serves."""
        process = self._processes[name]
        match process.role:
            case _ if process.popen.poll() is not None:
                return False
            case Role.API:
                return answers(self.port, "/readyz", host=self.host)
            case Role.WORKER:
                return "worker_started" in self._log_since(name, process)
            case Role.PROJECTOR:
                return '"started"' in self._log_since(name, process)


def answers(port: int, path: str, within_s: float = 2.0, *, host: str = LOOPBACK) -> bool:
    """Whether the API says 200 in time."""
    connection = http.client.HTTPConnection(host, port, timeout=within_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
