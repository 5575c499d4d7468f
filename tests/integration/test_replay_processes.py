"""What is said where a process of a replay is killed, or told to end."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millstream import replay_processes
from millstream.errors import Stop
from millstream.replay_bars import event_bars
from millstream.replay_partition import PartitionReport
from millstream.replay_processes import ReplayProcesses, Trouble
from millstream.replay_wanted import Planned, Wanted
from millstream.settings import Settings
from tests.waiting import is_alive, poll


def planned(*events: int) -> list[Planned]:
    return [Planned(partition, count, count, 1) for partition, count in enumerate(events)]


def dies_while_it_tells(*_: object) -> None:
    """As one that the kernel kills in the middle of a write to the queue."""
    replay_processes._told._wlock.acquire()  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGKILL)


def what_stops_a_replay_by(processes: int) -> str:
    """Without a loop: a pool is made ahead of it."""
    pool = ReplayProcesses(processes)
    with event_bars(quiet=True) as bars:
        replay = asyncio.wait_for(pool.run(Settings(), Wanted(), planned(*[1] * processes), bars), 60)
        with pytest.raises(Stop) as stopped:
            asyncio.run(replay)
    return str(stopped.value)


def test_a_process_that_is_killed_while_it_tells_ends_the_replay_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_processes, "_replay", dies_while_it_tells)
    assert "was killed" in what_stops_a_replay_by(2)


BEGUN_IN = "PROCESSES_BEGUN_ARE_NOTED_IN"


def last_one_dies_while_it_tells(*_: object) -> None:
    """Once both are at work the one that was started last is killed; the other waits for the lock that it held."""
    (own,) = multiprocessing.current_process()._identity
    begun = Path(os.environ[BEGUN_IN])
    (begun / str(own)).touch()
    while len(numbers := [int(one.name) for one in begun.iterdir()]) < 2:
        time.sleep(0.01)
    if own == max(numbers):
        dies_while_it_tells()
    threading.Event().wait()


def test_the_process_that_was_started_last_is_missed_as_the_first_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(BEGUN_IN, str(tmp_path))
    monkeypatch.setattr(replay_processes, "_replay", last_one_dies_while_it_tells)
    assert "was killed" in what_stops_a_replay_by(2)


NOTED_AT = "GIVEN_UP_IS_NOTED_AT"
replay_as_it_is = replay_processes._replay


def note() -> None:
    Path(os.environ[NOTED_AT]).touch()


class WaitsForEver:
    """In place of a partition's replay: told to end in the middle, and once more by the pool as one that waited for
    work has ended before, it notes that it could give up what it held."""

    def __init__(self, *_: object) -> None: ...

    async def run(self) -> PartitionReport:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(9):  # in them the loop hears of the signal
                await asyncio.sleep(0)
            note()
        raise AssertionError("it waits for ever")


@asynccontextmanager
async def no_stores(_: Settings) -> AsyncIterator[None]:
    yield


def is_told_to_end(settings: Settings, wanted: Wanted, one: Planned) -> PartitionReport | Trouble:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replay_processes, "ReplayingPartition", WaitsForEver)
        patched.setattr(replay_processes, "open_replay_stores", no_stores)
        return replay_as_it_is(settings, wanted, one)


def test_a_process_that_is_told_to_end_gives_up_what_it_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(NOTED_AT, str(tmp_path / "given up"))
    monkeypatch.setattr(replay_processes, "_replay", is_told_to_end)
    assert "was killed" in what_stops_a_replay_by(1)
    assert (tmp_path / "given up").exists()


def waits_until_its_parent_is_killed(*_: object) -> None:
    (Path(os.environ[BEGUN_IN]) / str(os.getpid())).touch()
    threading.Event().wait()


PARENT = """
import asyncio
from millstream import replay_processes
from millstream.replay_bars import event_bars
from millstream.replay_wanted import Wanted
from millstream.settings import Settings
from tests.integration.test_replay_processes import planned, waits_until_its_parent_is_killed

replay_processes._replay = waits_until_its_parent_is_killed
pool = replay_processes.ReplayProcesses(2)
with event_bars(quiet=True) as bars:
    asyncio.run(pool.run(Settings(), Wanted(), planned(1, 1), bars))
"""


def test_processes_die_with_the_one_that_began_them(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env={**os.environ, BEGUN_IN: str(tmp_path)})
    try:
        poll(lambda: len(list(tmp_path.iterdir())) == 2, "both are at work")
    finally:
        parent.kill()
        parent.wait()
    pids = [int(one.name) for one in tmp_path.iterdir()]
    assert len(pids) == 2
    poll(lambda: not any(map(is_alive, pids)), "none of them is left")
