"""Projections: fold rate, live projector rate, and lag at 2,000 events a second, on one real server.

    PYTHONPATH=src:. python bench/projector.py [documents]

`bench/fold.py` measures the fold beside a loop that decodes and folds by hand. The live projector is held against the
bare XX"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.figures import Peer, note, reported
from bench.fold import measure_fold
from events.keys import Keys
from events.log import Appended, Write
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.task import TaskSubmitted
from millstream.collecting import collect_seldom
from projections.projector import PAGE_EVENTS, Projector
from projections.redis_views import RedisViews
from projections.views import Commit
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write
from tests.facts import UNTIL_INDEXED
from tests.servers.redis_process import RedisProcess, redis_binary

ROUNDS: Final = 5
LIVE_GOAL_PER_S: Final = 30_000
LAG_GOAL_MS: Final = 20

TASK_DOCUMENTS: Final = 10
"""Documents a task."""

LAG_EVENTS_PER_S: Final = 2_000
LAG_S: Final = 5
LAG_WRITE_EVENTS: Final = 20
PARTITION: Final = 0


def writes_of_documents(documents: int) -> list[Write]:
    """Whole lives from acceptance to the end, in tasks of ten, one write a document and one a submission."""
    knowledge_base, writes = new_knowledge_base(PARTITION), list[Write]()
    for number in range(documents):
        if number % TASK_DOCUMENTS == 0:
            task = new_task(PARTITION)
            submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=TASK_DOCUMENTS)
            writes.append(write(task, 0, submitted, knowledge_base=knowledge_base, task=task))
        events = (accepted(task, knowledge_base), *UNTIL_INDEXED[1:])
        writes.append(write(new_document(PARTITION), 0, *events, knowledge_base=knowledge_base, task=task))
    return writes


async def fill(log: RedisLog, writes: Sequence[Write]) -> None:
    for start in range(0, len(writes), 100):
        assert isinstance(await log.append(writes[start : start + 100]), Appended)


async def read_all(log: RedisLog) -> float:
    """The same pages read and decoded, nothing done with them."""
    begun_s, after, count = time.perf_counter(), None, 0
    while page := await log.read(PARTITION, after=after, limit=PAGE_EVENTS):
        after, count = page[-1].position, count + len(page)
    return count / (time.perf_counter() - begun_s)


async def project_all(log: RedisLog, views: RedisViews) -> tuple[float, float]:
    """Events a second, and processor time of this process an event (µs)."""
    projector = Projector(log, views, partition=PARTITION, holder="bench")
    begun_s, begun_cpu_s, count = time.perf_counter(), time.process_time(), 0
    while found := await projector.advance():
        count += found
    cpu_us = (time.process_time() - begun_cpu_s) / count * 1_000_000
    return count / (time.perf_counter() - begun_s), cpu_us


async def measure_live(clients: Clients, writes: Sequence[Write]) -> None:
    log = RedisLog(clients.commands, clients.blocking, Keys(1))
    live, read, cpu = list[float](), list[float](), list[float]()
    await fill(log, writes)
    for number in range(ROUNDS):
        # A namespace a round: empty views on the same log.
        views = _ElsewhereViews(clients, f"round{number}")
        read.append(await read_all(log))
        per_s, cpu_us = await project_all(log, views)
        live.append(per_s)
        cpu.append(cpu_us)
    note("live projector", "events/s", live, beside=Peer("reading alone", read))
    note("live projector: CPU of an event", "µs", cpu)
    ours, bare = statistics.median(live), statistics.median(read)
    print(
        f"live projector: {ours:9,.0f}/s ({ours / LIVE_GOAL_PER_S:.2f} of the goal)"
        f"   reading alone {bare:9,.0f}/s   ratio {ours / bare:.2f}   {statistics.median(cpu):.1f} µs CPU an event"
    )


class _ElsewhereViews(RedisViews):
    """Views of a namespace of their own; notes when each event was committed."""

    def __init__(self, clients: Clients, namespace: str) -> None:
        super().__init__(clients.commands, Keys(1, namespace))
        self.committed_s: list[tuple[int, float]] = []
        self._committed = asyncio.Event()

    async def commit(self, commit: Commit) -> bool:
        is_written = await super().commit(commit)
        self.committed_s.append((commit.checkpoint.number, time.perf_counter()))
        self._committed.set()
        return is_written

    async def reached(self, number: int) -> None:
        """Returns when the event of that number was committed."""
        while not self.committed_s or self.committed_s[-1][0] < number:
            self._committed.clear()
            await self._committed.wait()


async def measure_lag(clients: Clients) -> None:
    """From the answer of the append to the answer of the commit that shows it, event by event."""
    log = RedisLog(clients.commands, clients.blocking, Keys(1, "lag"))
    views, stop = _ElsewhereViews(clients, "lag"), asyncio.Event()
    running = asyncio.create_task(Projector(log, views, partition=PARTITION, holder="bench").run(stop))
    appended_s = await _append_at_pace(log)
    await views.reached(len(appended_s))
    stop.set()
    await running
    lags, commits = list[float](), iter(views.committed_s)
    number, committed_s = next(commits)
    for event, at_s in enumerate(appended_s, start=1):
        while number < event:
            number, committed_s = next(commits)
        lags.append(max(committed_s - at_s, 0) * 1_000)
    lags.sort()
    p50, p99 = lags[len(lags) // 2], lags[len(lags) * 99 // 100]
    for name, lag_ms in (("p50", p50), ("p99", p99)):
        note(f"lag {name} at {LAG_EVENTS_PER_S:,} events/s", "ms", lag_ms)
    print(
        f"lag at {LAG_EVENTS_PER_S:,} events/s: p50 {p50:.1f} ms   p99 {p99:.1f} ms"
        f" ({p99 / LAG_GOAL_MS:.2f} of what it may be)   {len(views.committed_s):,} commits"
    )


async def _append_at_pace(log: RedisLog) -> list[float]:
    envelopes: list[tuple[Write, int]] = [
        (one, len(one.envelopes)) for one in writes_of_documents(LAG_EVENTS_PER_S * LAG_S // len(UNTIL_INDEXED))
    ]
    appended_s, begun_s, waiting, count = list[float](), time.perf_counter(), list[Write](), 0
    for one, events in envelopes:
        waiting.append(one)
        count += events
        if count < LAG_WRITE_EVENTS:
            continue
        await asyncio.sleep(max(begun_s + (len(appended_s) + count) / LAG_EVENTS_PER_S - time.perf_counter(), 0))
        assert isinstance(await log.append(waiting), Appended)
        appended_s += [time.perf_counter()] * count
        waiting, count = [], 0
    return appended_s


async def main(documents: int) -> None:
    collect_seldom()  # as the projector does
    writes = writes_of_documents(documents)
    measure_fold(writes)
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                await measure_live(clients, writes)
                await measure_lag(clients)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000))
