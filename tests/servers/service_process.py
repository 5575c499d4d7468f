"""A whole service as its users start it: `millstream up` as a process. Fixtures are in `tests.servers.service`."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.waiting import is_alive, poll

READY_S_MAX = 60.0
STOP_S_MAX = 10.0
"""What an init system gives by default, and what the service promises."""

LOG_CHARS_SHOWN: Final = 20_000
"""Of the service's log, beside a test that failed."""

ALIKE: Final = {"MILLSTREAM_WORKER_NICENESS": "0"}
"""Tests wait for the workers, beside other tests: nobody goes first."""

_ANNOUNCED = re.compile(r"^(\S+) +pid (\d+)", re.MULTILINE)
_READY = re.compile(r"^ready +(\S+)$", re.MULTILINE)


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings of ours and no others."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")} | dict(variables)


class ServiceProcess:
    """One `millstream up` on a data directory; may be stopped and started again on the same."""

    def __init__(self, data_dir: Path, variables: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.variables = ALIKE | dict(variables or {})
        self._output = data_dir.parent / f"{data_dir.name}.out"
        self._errors = data_dir.parent / f"{data_dir.name}.err"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the service says that it is ready."""
        with self._output.open("wb") as output, self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "millstream", "up", "--port", "0", "--data-dir", str(self.data_dir)],
                env=environment_with(self.variables),
                cwd=self.data_dir.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        process = self._process
        poll(lambda: self._ready is not None or process.poll() is not None, "the service is ready", READY_S_MAX)
        assert process.poll() is None, f"the service ended at start\n{self.output}\n{self.errors}"

    @property
    def url(self) -> str:
        assert self._ready is not None, "not started"
        return self._ready[1]

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8") if self._output.exists() else ""

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8") if self._errors.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> dict[str, int]:
        """Of each process by name, the one that was announced last."""
        return {name: int(pid) for name, pid in _ANNOUNCED.findall(self.output)}

    def kill(self, name: str) -> int:
        """As a crash takes a process; its pid."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for_restart(self, name: str, killed: int) -> int:
        """The pid of the process that took the killed one's place."""
        poll(lambda: self.pids[name] != killed, f"{name} was started again", 15)
        return self.pids[name]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Asserts that the service drains in time, ends well, and leaves nothing running."""
        process = self._process
        if process is None:
            return
        started = {int(pid) for _, pid in _ANNOUNCED.findall(self.output)}
        started |= processes_in_sessions(started)
        process.send_signal(number)
        try:
            code = process.wait(STOP_S_MAX)
        finally:
            self.end()
        assert code == 0, self.errors
        left = {pid for pid in started | processes_in_sessions(started) if is_alive(pid)}
        assert left == set(), f"left running: {left}"

    def end(self) -> None:
        """Takes everything down, however it stands; for a test that failed, and for one that kills."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        children = {int(pid) for _, pid in _ANNOUNCED.findall(self.output)}
        for pid in (process.pid, *children, *processes_in_sessions(children)):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    @property
    def _ready(self) -> re.Match[str] | None:
        return _READY.search(self.output)


@contextmanager
def service_on(data_dir: Path, variables: Mapping[str, str]) -> Iterator[ServiceProcess]:
    """A service that is ready. Behind a body that went well it has to stop well; it is gone however that ended."""
    started = ServiceProcess(data_dir, variables)
    try:
        started.start()
        yield started
        started.stop()
    finally:
        started.end()
        print(started.errors[-LOG_CHARS_SHOWN:], file=sys.stderr)


def processes_in_sessions(leaders: set[int]) -> set[int]:
    """Every process that one of these started: each leads a session. Linux tells; elsewhere the leaders must do."""
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError, ValueError):
            continue
        if session in leaders:
            found.add(int(entry.name))
    return found
