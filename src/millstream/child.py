"""One supervised child process: started, watched, restarted with back-off, drained."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

_log = structlog.get_logger()

BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 30.0
STABLE_S_MIN = 60.0
"""A child that ran this long starts again at the shortest back-off: its trouble is a new one."""


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `arguments` follow `python -m millstream`; `detail` is what its line at start says of it."""

    name: str
    arguments: tuple[str, ...]
    detail: str = ""
    inherited_fds: tuple[int, ...] = ()


def backoff_s(failures: int) -> float:
    """Pause before restart number `failures` (from 1): 0.5 s, doubled each time, at most 30 s."""
    return min(BACKOFF_S_MAX, BACKOFF_S_MIN * float(2 ** min(failures - 1, 10)))


class Child:
    """Keeps one process alive until told to stop.

    The child's standard input is a pipe that we hold: when we die, however hard, it reads the end of it and drains.
    """

    def __init__(
        self,
        spec: ChildSpec,
        environment: Mapping[str, str],
        announce: Callable[[str], None],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self._environment = environment
        self._announce = announce
        self._clock_s = clock_s
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.restarts = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def keep_running(self) -> None:
        """Returns once `stop` was called and the process has ended."""
        failures = 0
        while not self._stopping.is_set():
            started_s = self._clock_s()
            process = await self._start()
            code = await process.wait()
            if self._stopping.is_set():
                return
            failures = 1 if self._clock_s() - started_s > STABLE_S_MIN else failures + 1
            self.restarts += 1
            pause_s = backoff_s(failures)
            _log.warning("process ended", process=self.spec.name, exit_code=code, restart_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def stop(self, within_s: float) -> None:
        """SIGTERM, time to drain, then SIGKILL."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            _log.warning("process did not drain in time", process=self.spec.name, within_s=within_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own, so that Ctrl-C at the terminal reaches the supervisor alone, which then drains in order.
        self._process = await asyncio.create_subprocess_exec(
            *_python_arguments(self.spec.arguments),
            stdin=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            pass_fds=self.spec.inherited_fds,
            start_new_session=True,
        )
        detail = f"  {self.spec.detail}" if self.spec.detail else ""
        self._announce(f"{self.spec.name:<12} pid {self._process.pid:<8}{detail}".rstrip())
        return self._process


def _python_arguments(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "millstream", *arguments]
