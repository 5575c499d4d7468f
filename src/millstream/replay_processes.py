"""Partitions replayed at once, each by a process of a pool: a fold is work for a core, and a process folds on one.

On Linux the processes are forked before there is a loop, a connection or a second thread, with all that they need
loaded: each began with 0.35 s of loading it, on a core that could have folded. Elsewhere they are started when there is
work.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from typing import Final

import msgspec
from rich.progress import Progress

from millstream.collecting import collect_seldom
from millstream.errors import ExitCode, Stop
from millstream.replay_bars import bar
from millstream.replay_partition import PartitionReport, ReplayingPartition, replay_troubles
from millstream.replay_stores import open_replay_stores
from millstream.replay_wanted import Planned, Wanted
from millstream.settings import Settings
from projections import progress
from projections.writer import LEASE_MS

EVENTS_MIN: Final = 100_000
"""Fewer are folded in a second by one process."""

PROCESSES_BY_DEFAULT_MAX: Final = 8
"""Redis has one thread, of which an event takes a fifth of what it takes of a process: more would wait for it."""

IS_FORKED: Final = sys.platform == "linux"
"""On macOS the system's libraries do not outlive it."""

TOLD_EVERY_S: Final = 0.1
"""How often a process tells how far it is: as often as bars are drawn."""

Told = tuple[int, progress.Progress]
"""A partition and how far it is."""


class Trouble(msgspec.Struct, frozen=True):
    """A Stop on its way out of a process."""

    what: str
    hint: str
    exit_code: ExitCode


def processes_for(asked: int | None, planned: Sequence[Planned]) -> int:
    """As many as asked for, else one a core where there is much to fold; never more than partitions with events."""
    shares = max(1, sum(one.events > 0 for one in planned))
    if asked is not None:
        return min(asked, shares)
    is_worth_it = sum(one.events for one in planned) >= EVENTS_MIN
    return min(_by_default(), shares) if is_worth_it else 1


def _by_default() -> int:
    return min(os.cpu_count() or 1, PROCESSES_BY_DEFAULT_MAX)


@contextmanager
def processes_at_hand(wanted: Wanted) -> Iterator["ReplayProcesses | None"]:
    """As many as may be of use, before it is known how much there is to fold: 3 ms each. None where one does it all."""
    processes = _by_default() if wanted.processes is None else wanted.processes
    if processes == 1 or wanted.is_dry_run or wanted.as_of is not None:
        yield None
        return
    pool = ReplayProcesses(processes)
    try:
        yield pool
    finally:
        pool.close()


class ReplayProcesses:
    """A pool for one replay, to be made while this process has one thread."""

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("fork" if IS_FORKED else "spawn")
        self._told: SimpleQueue[Told | None] = context.SimpleQueue()
        self._pool = ProcessPoolExecutor(processes, context, _begin, (self._told,))
        if IS_FORKED:
            self._pool.submit(_wake_pool)  # the first work forks all of them, ahead of the pool's own thread

    def close(self) -> None:
        """Ends them; what they are at they bring to its end."""
        self._pool.shutdown(cancel_futures=True)

    async def run(
        self, settings: Settings, wanted: Wanted, planned: Sequence[Planned], bars: Progress
    ) -> list[PartitionReport]:
        """The largest partitions first. Raises Stop: what was begun is brought to its end before, and no more begun."""
        drawing = threading.Thread(target=_draw, args=(self._told, planned, bars), daemon=True)
        drawing.start()
        is_whole = True
        loop = asyncio.get_running_loop()
        try:
            by_size = sorted(planned, key=lambda one: -one.events)
            pending = [loop.run_in_executor(self._pool, _replay, settings, wanted, one) for one in by_size]
            # A pool looks after the processes that it had when it was woken last, ahead of the start of the last one.
            with contextlib.suppress(BrokenProcessPool):  # what is pending tells it
                self._pool.submit(_wake_pool)
            return await asyncio.gather(*map(_report_or_stop, pending))
        except Stop:
            raise
        except BrokenProcessPool:
            is_whole = False
            raise Stop(
                "a process of the replay was killed",
                hint="if memory was short: --processes 1; what was not swapped yet is as it was",
            ) from None
        except BaseException:
            is_whole = False
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            await asyncio.to_thread(self.close)
            # A process that was killed while it told something holds the lock of the queue for ever.
            if is_whole:
                self._told.put(None)
                drawing.join()


def _wake_pool() -> None:
    """Work of no kind: that there is some wakes the pool."""


async def _report_or_stop(pending: "asyncio.Future[PartitionReport | Trouble]") -> PartitionReport:
    match await pending:
        case Trouble(what, hint, exit_code):
            raise Stop(what, hint=hint, exit_code=exit_code)
        case report:
            return report


def _draw(told: "SimpleQueue[Told | None]", planned: Sequence[Planned], bars: Progress) -> None:
    """A bar for each partition, until told that there is no more."""
    drawn = {one.partition: bar(bars, f"partition {one.partition}", one.events) for one in planned}
    for partition, far in iter(told.get, None):
        drawn[partition](far)


_told: "SimpleQueue[Told | None]"
"""Of a process of the pool: where it tells how far it is."""


def _begin(told: "SimpleQueue[Told | None]") -> None:
    """In each process of the pool. Ctrl-C is for the one that the person started; where that dies, so do we."""
    global _told
    _told = told
    if not IS_FORKED:
        collect_seldom()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A fork holds the pipes by which those before it hear of their parent's end: so the last hears of it first, and
    each of the others from the end of the next."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LEASE_MS / 1_000)  # by then what was held has ended anyway
        os._exit(1)


def _replay(settings: Settings, wanted: Wanted, one: Planned) -> PartitionReport | Trouble:
    try:
        return asyncio.run(_replay_partition(settings, wanted, one))
    except asyncio.CancelledError:
        # Told to end. Not by way of the pool: a process that was ended while it waited for work holds the queue's lock.
        os._exit(1)


async def _replay_partition(settings: Settings, wanted: Wanted, one: Planned) -> PartitionReport | Trouble:
    told_s = 0.0

    def tell(far: progress.Progress) -> None:
        """Not of each page: to hand it over took a twentieth of folding one."""
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= TOLD_EVERY_S or far.folded >= far.total:
            told_s = now_s
            _told.put((one.partition, far))

    loop, ended = asyncio.get_running_loop(), asyncio.current_task()
    assert ended is not None  # noqa: S101  we run in it

    def end() -> None:
        """Broken off like this, a replay gives its leases up. Told once more, as a pool tells all of its processes when
        one that waits for work has ended, it goes on with that."""
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        ended.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        async with open_replay_stores(settings) as stores, replay_troubles(settings):
            return await ReplayingPartition(stores, wanted, one, tell).run()
    except Stop as stop:
        return Trouble(stop.what, stop.hint, stop.exit_code)
