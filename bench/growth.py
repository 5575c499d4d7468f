"""Growth: what an append, a list and the fold of an event cost behind 1,000, 10,000 and 100,000 finished tasks.

    PYTHONPATH=src:. python bench/growth.py [tasks, the most, 1000000 as well]

All tasks lie in one partition, one document each, whole lives of eleven events that are appended in bulk and folded by
the real projector; inboxes are emptied as if workers had taken what is in them. At each size: appends of a new task one
after the other, the first page of the list of tasks, one with what came since a time in the middle, and an event's
processor time: of the projector, and of the server's main thread for its append and its commit. Goals: p99 at the end
at most 1.5 times what it was at 1,000, cost of an event flat (1.2 times).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figures import Peer, note, reported
from events.ids import KnowledgeBaseId, document_id
from events.keys import Keys
from events.log import Appended, Write
from events.pointer import INBOX_CODES
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.task import TaskFinished, TaskSubmitted
from millstream.collecting import collect_seldom
from projections.cursors import Cursors
from projections.lists import Lists
from projections.projection import TASKS, member
from projections.projector import Projector
from projections.queries import Queries
from projections.redis_views import RedisViews
from projections.tasks import tasks_index
from tests.event_samples import T0_US, accepted, new_task, write
from tests.facts import UNTIL_INDEXED
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.waiting import wait_for
from tests.workshop import Workshop

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
TASKS_DEFAULT: Final = 100_000
TASKS_AN_APPEND: Final = 25
TASKS_A_STAGE: Final = 2_500
"""Between two foldings, so that the log's pages stay warm."""

ROUNDS: Final = 5
APPENDS: Final = 200
"""A round, one after the other."""
LISTS: Final = 60

REWRITE_S_MAX: Final = 600.0


class Size(msgspec.Struct, frozen=True):
    """What things cost at one size: p99 of each round in ms, µs an event."""

    append_p50: list[float]
    append_p99: list[float]
    list_p99: list[float]
    since_p99: list[float]
    fold_us: list[float]
    server_us: list[float]


class Bench:
    """One partition under growth."""

    def __init__(self, clients: Clients) -> None:
        self.keys = Keys(1)
        self.clients = clients
        self.log = RedisLog(clients.commands, clients.blocking, self.keys)
        self.views = RedisViews(clients.commands, self.keys)
        self.projector = Projector(self.log, self.views, partition=0, holder="bench")
        self.lists = Lists(self.log, self.views, Queries(self.log, self.views), Cursors(b"0123456789abcdef"))
        self._tasks: list[str] = []
        """One of each append."""

    async def grow(self, knowledge_base: KnowledgeBaseId, tasks: int) -> None:
        for start in range(0, tasks, TASKS_A_STAGE):
            stage = min(TASKS_A_STAGE, tasks - start)
            for first in range(0, stage, TASKS_AN_APPEND):
                some = min(TASKS_AN_APPEND, stage - first)
                lives = [life(knowledge_base) for _ in range(some)]
                self._tasks.append(lives[0][0].stream_id)
                await self.append(list(chain.from_iterable(lives)))
            await self.project()
            await self.drain()

    async def append(self, writes: Sequence[Write]) -> None:
        assert isinstance(await self.log.append(writes), Appended)

    async def project(self) -> int:
        """How many events were folded."""
        folded = 0
        while found := await self.projector.advance():
            folded += found
        return folded

    async def drain(self) -> None:
        for step, lane in INBOX_CODES:
            await execute(self.clients.commands, "XTRIM", self.keys.inbox(0, step, lane), "MAXLEN", 0)

    async def measure(self, knowledge_base: KnowledgeBaseId) -> Size:
        found = Size([], [], [], [], [], [])
        for _ in range(ROUNDS):
            server_s = await self.server_cpu_s()
            appends = [await timed_ms(self.append(life(knowledge_base))) for _ in range(APPENDS)]
            begun_s = time.process_time()
            folded = await self.project()
            found.fold_us.append((time.process_time() - begun_s) / folded * 1e6)
            found.server_us.append((await self.server_cpu_s() - server_s) / folded * 1e6)
            found.append_p50.append(statistics.median(appends))
            found.append_p99.append(p99(appends))
            found.list_p99.append(p99([await timed_ms(self.lists.tasks()) for _ in range(LISTS)]))
            found.since_p99.append(p99([await timed_ms(self.tasks_since_the_middle()) for _ in range(LISTS)]))
            await self.drain()
        return found

    async def at_rest(self) -> float:
        """Waits for the server's rewrite of its append-only file to end, and answers how many seconds: each page that
        is written meanwhile is copied for its child, and whether that met the seconds of measuring was chance."""
        begun_s = time.perf_counter()

        async def is_done() -> bool:
            info: Any = await self.clients.commands.info("persistence")
            return not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])

        await wait_for(is_done, "the append-only file is written anew", REWRITE_S_MAX)
        return time.perf_counter() - begun_s

    async def server_cpu_s(self) -> float:
        """Of its main thread: time on the clock has in it what neighbours take of the cores."""
        used: Any = await self.clients.commands.info("cpu")
        return float(used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"])

    async def tasks_since_the_middle(self) -> None:
        """The newest 51 tasks, and how many came since the one in the middle: the most that a length costs."""
        self._tasks.sort()
        floor = member(T0_US, self._tasks[len(self._tasks) // 2])
        await self.views.page(0, tasks_index(), TASKS, after=None, limit=51, newest_first=True, floor=floor)


def life(knowledge_base: KnowledgeBaseId) -> list[Write]:
    """A task of one document, from its submission to its end."""
    task = new_task(0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    finished = TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0)
    events = (accepted(task, knowledge_base), *UNTIL_INDEXED[1:])
    return [
        write(task, 0, submitted, finished, knowledge_base=knowledge_base, task=task),
        write(document_id(task, 0), 0, *events, knowledge_base=knowledge_base, task=task),
    ]


async def timed_ms(work: Any) -> float:
    begun_s = time.perf_counter()
    await work
    return (time.perf_counter() - begun_s) * 1_000


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def tell(tasks: int, found: Size) -> None:
    shown = ", ".join(
        f"{name.replace('_', ' ')} {statistics.median(getattr(found, name)):.2f}" for name in Size.__struct_fields__
    )
    print(f"{tasks:>9,} tasks: {shown}", flush=True)
    note(f"{tasks:,} tasks: append p50", "ms", found.append_p50)


def note_growth(tasks: int, found: Size, base: Size) -> None:
    """Each figure beside the same at the smallest size."""
    named = {
        "append p99": (found.append_p99, base.append_p99, "ms"),
        "list p99": (found.list_p99, base.list_p99, "ms"),
        "list since the middle p99": (found.since_p99, base.since_p99, "ms"),
        "fold of an event": (found.fold_us, base.fold_us, "µs CPU"),
        "server's time of an event": (found.server_us, base.server_us, "µs CPU"),
    }
    for name, (values, before, unit) in named.items():
        note(f"{name}, {tasks:,} tasks", unit, values, beside=Peer(f"{SIZES[0]:,} tasks", before))


async def run(clients: Clients, tasks_max: int) -> None:
    bench = Bench(clients)
    knowledge_base = await Workshop(bench.log).create()
    base, reached = None, 0
    for size in (one for one in SIZES if one <= tasks_max):
        await bench.grow(knowledge_base, size - reached)
        print(f"{size:>9,} tasks: {await bench.at_rest():.1f} s until the append-only file was at rest", flush=True)
        found = await bench.measure(knowledge_base)
        reached = size + ROUNDS * APPENDS
        tell(size, found)
        if base is None:
            base = found
        else:
            note_growth(size, found, base)


async def main(tasks_max: int) -> None:
    collect_seldom()  # as the projector and the API do
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                await run(clients, tasks_max)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TASKS_DEFAULT))
