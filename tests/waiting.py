"""Waiting for a named moment, with a deadline; the only place of the tests where time is let pass."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

POLL_S = 0.02
DEADLINE_S = 20.0


async def wait_until(condition: Callable[[], bool], what: str, within_s: float = DEADLINE_S) -> None:
    """Fails with `what` once the deadline has passed."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)


async def wait_for(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = DEADLINE_S) -> None:
    """The same for a condition that has to ask somebody."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(POLL_S)


def poll(condition: Callable[[], bool], what: str, within_s: float = DEADLINE_S) -> None:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected by its parent does not."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self").exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
