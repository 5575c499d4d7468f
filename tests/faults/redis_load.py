"""What the fault tests of Redis share: uploads that go on meanwhile, and what an outage may look like from outside."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redis import Redis

from tests.faults.documents import TEXT
from tests.faults.history import Call, History, Outcome
from tests.faults.mill import Mill
from tests.waiting import poll

UPLOADERS: Final = 4
PAUSE_S: Final = 0.03
"""Of one uploader between two files: what follows must be parsed and indexed by two cores."""

RETRY_AFTER_S: Final = range(1, 6)
LINES_A_SECOND_MAX: Final = 1.0
LINES_AT_ONCE: Final = 15
"""The first lines of an outage, one from each loop of a process, come together."""

OUTAGE_WORDS: Final = ("_unavailable", "_waits", "_missed", "_repeated", "_blind", "_held", "_delayed", "_error")


@contextmanager
def uploading(history: History, kb: str, about: str, *, uploaders: int = UPLOADERS) -> Iterator[list[Call]]:
    """Small files, each repeated under its key until it is accepted or refused for good; the last answers."""
    ended, settled = threading.Event(), list[Call]()

    def upload(uploader: int) -> None:
        number = 0
        while not ended.wait(PAUSE_S):
            number += 1
            name = f"{about} {uploader} {number}"
            settled.append(history.submit(kb, [(f"{name}.txt", f"{name}. {TEXT}".encode())]))

    threads = [threading.Thread(target=upload, args=(uploader,)) for uploader in range(uploaders)]
    for thread in threads:
        thread.start()
    try:
        yield settled
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def wait_for_uploads(settled: list[Call], more: int = 10) -> None:
    """Returns when so many more files were accepted."""
    wanted = accepted(settled) + more
    poll(lambda: accepted(settled) >= wanted, f"{more} more files were accepted", 30)


def wait_for_answer(history: History, status: int, since: int) -> None:
    """Returns when one of the calls behind the first `since` was answered like that."""
    poll(lambda: any(call.status == status for call in history.calls[since:]), f"an answer {status}")


def accepted(calls: list[Call]) -> int:
    return sum(call.outcome is Outcome.OK for call in calls)


def seconds_until_accepted(history: History, since_s: float, within_s: float = 20.0) -> float:
    """How long after a moment the first upload was accepted."""

    def after() -> list[float]:
        return [call.at_s - since_s for call in list(history.accepted) if call.at_s > since_s]

    poll(lambda: bool(after()), "an upload is accepted", within_s)
    return min(after())


def assert_told_to_come_back(calls: list[Call]) -> int:
    """Every 503 says when to try again; how many there were."""
    unavailable = [call for call in calls if call.status == 503]
    wrong = {call.retry_after for call in unavailable if int(call.retry_after or 0) not in RETRY_AFTER_S}
    assert not wrong, f"Retry-After: {wrong}"
    return len(unavailable)


class Quiet:
    """Looks at how much each process says about an outage, and that the same processes are alive at its end."""

    def __init__(self, mill: Mill) -> None:
        self._mill = mill
        self._pids = {name: mill.pid(name) for name in mill.names}
        self._sizes = {name: len(log) for name, log in mill.logs().items()}
        self._began_s = time.monotonic()

    def assert_kept(self) -> int:
        """The most lines that one process wrote about it."""
        dead = [name for name in self._pids if not self._mill.is_running(name)]
        assert not dead, {name: self._mill.log(name)[-2_000:] for name in dead}
        assert {name: self._mill.pid(name) for name in self._pids} == self._pids
        lines = {name: self._lines(name) for name in self._pids}
        allowed = LINES_AT_ONCE + LINES_A_SECOND_MAX * (time.monotonic() - self._began_s)
        assert max(lines.values()) <= allowed, lines
        return max(lines.values())

    def _lines(self, name: str) -> int:
        new = self._mill.log(name)[self._sizes[name] :]
        return sum(any(f'{words}"' in line for words in OUTAGE_WORDS) for line in new.splitlines())


def server_of(mill: Mill) -> Redis:
    """A client of the mill's Redis that goes past any proxy."""
    return Redis.from_url(mill.redis.url, socket_timeout=30)


def append_only_file(directory: Path) -> Path:
    """The file that the server appends to now."""
    return max((directory / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)


@contextmanager
def standing_still(pid: int, seconds: float) -> Iterator[None]:
    """The process is frozen for so long; the block runs meanwhile."""
    until_s = time.monotonic() + seconds
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        poll(lambda: time.monotonic() >= until_s, "the process has stood still for long enough", seconds + 5)
    finally:
        os.kill(pid, signal.SIGCONT)
