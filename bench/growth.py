"""Growth: what an append, a list and the fold of an event cost behind 10,000 and 100,000 finished tasks, beside 1,000.

    PYTHONPATH=src:. python bench/growth.py [tasks, the most, 1000000 as well]

All tasks lie in one partition, one document each, whole lives of 13 events that are appended in bulk and folded by
the real projector, accepted a millisecond after one another; inboxes are emptied as if workers had taken what is in
them. At each size: appends of a new task one after the other, the first page of the list of tasks, one with what came
since a time in the middle, and an event's processor time: of the projector, and of the server's main thread for its
append and its commit, once more where every document has its place somewhere in the lists and not at their end, and
once for a bare script that writes as many keys. A partition of 1,000 tasks, on a server of its own, takes each round in
turn with the large one. Goals: p99 at the end at most 1.5 times what it is at 1,000, cost of an event flat (1.2 times).
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figures import Peer, note, reported
from bench.growth_floor import EVENTS, Floor
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

SMALL: Final = 1_000
SIZES: Final = (10_000, 100_000, 1_000_000)
TASKS_DEFAULT: Final = 100_000
TASKS_AN_APPEND: Final = 25
TASKS_A_STAGE: Final = 2_500
"""Between two foldings, so that the log's pages stay warm."""

TASK_US: Final = 1_000
"""From one task to the next: what comes stands behind what is there, as in any list that goes by time."""

ROUNDS: Final = 9
APPENDS: Final = 200
"""A round, one after the other."""
LISTS: Final = 60

REST_S_MAX: Final = 600.0


class Size(msgspec.Struct, frozen=True):
    """What things cost at one size: p50 and p99 of each round in ms, µs an event."""

    append_p50: list[float]
    append_p99: list[float]
    list_p99: list[float]
    since_p99: list[float]
    fold_us: list[float]
    server_us: list[float]
    anywhere_us: list[float]
    bare_us: list[float]


def nothing_found() -> Size:
    return Size([], [], [], [], [], [], [], [])


class Partition:
    """One under growth."""

    def __init__(self, clients: Clients, knowledge_base: KnowledgeBaseId, log: RedisLog, keys: Keys) -> None:
        self.keys = keys
        self.clients = clients
        self.log = log
        self.views = RedisViews(clients.commands, keys)
        self.projector = Projector(log, self.views, partition=0, holder="bench")
        self.lists = Lists(log, self.views, Queries(log, self.views), Cursors(b"0123456789abcdef"))
        self._floor = Floor(clients, keys)
        self._knowledge_base = knowledge_base
        self._tasks = 0
        self._places = random.Random(0)

    async def grow_to(self, tasks: int) -> None:
        while (stage := min(TASKS_A_STAGE, tasks - self._tasks)) > 0:
            for first in range(0, stage, TASKS_AN_APPEND):
                await self.append(min(TASKS_AN_APPEND, stage - first))
            await self.project()
            await self.drain()

    async def append(self, tasks: int = 1, *, is_anywhere: bool = False) -> None:
        """New ones, in one call. `is_anywhere`: each document was accepted at some time since the first."""
        writes: list[Write] = []
        for _ in range(tasks):
            self._tasks += 1
            at_us = T0_US + self._tasks * TASK_US
            document_at_us = self._places.randint(T0_US, at_us) if is_anywhere else at_us
            writes += life(self._knowledge_base, at_us, document_at_us)
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

    async def measure(self, found: Size) -> None:
        """One round."""
        server_s = await self.server_cpu_s()
        appends = [await timed_ms(self.append()) for _ in range(APPENDS)]
        begun_s = time.process_time()
        folded = await self.project()
        found.fold_us.append((time.process_time() - begun_s) / folded * 1e6)
        found.server_us.append((await self.server_cpu_s() - server_s) / folded * 1e6)
        found.append_p50.append(statistics.median(appends))
        found.append_p99.append(p99(appends))
        found.list_p99.append(p99([await timed_ms(self.lists.tasks()) for _ in range(LISTS)]))
        found.since_p99.append(p99([await timed_ms(self.tasks_since_the_middle()) for _ in range(LISTS)]))
        await self.drain()

    async def measure_anywhere(self, found: Size) -> None:
        server_s = await self.server_cpu_s()
        for _ in range(APPENDS):
            await self.append(is_anywhere=True)
        folded = await self.project()
        found.anywhere_us.append((await self.server_cpu_s() - server_s) / folded * 1e6)
        await self.drain()

    async def measure_bare(self, found: Size) -> None:
        server_s = await self.server_cpu_s()
        for _ in range(APPENDS):
            await self._floor.append()
        found.bare_us.append((await self.server_cpu_s() - server_s) / (APPENDS * EVENTS) * 1e6)

    async def at_rest(self) -> float:
        """Waits for what the server does now and then, and answers how many seconds: it writes its append-only file
        anew, for which each page that is written is copied, and moves its keys to a table of twice the size. Whether
        that met the seconds of measuring would be chance."""
        begun_s = time.perf_counter()

        async def is_done() -> bool:
            info: Any = await self.clients.commands.info("everything")
            rewrites = info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]
            return not rewrites and not info["mem_overhead_db_hashtable_rehashing"]

        await wait_for(is_done, "the server is at rest", REST_S_MAX)
        return time.perf_counter() - begun_s

    async def server_cpu_s(self) -> float:
        """Of its main thread: time on the clock has in it what neighbours take of the cores."""
        used: Any = await self.clients.commands.info("cpu")
        return float(used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"])

    async def tasks_since_the_middle(self) -> None:
        """The newest 51 tasks, and how many came since one in the middle: the most that a length costs."""
        floor = member(T0_US + self._tasks // 2 * TASK_US, "")
        await self.views.page(0, tasks_index(), TASKS, after=None, limit=51, newest_first=True, floor=floor)


def life(knowledge_base: KnowledgeBaseId, at_us: int, document_at_us: int) -> list[Write]:
    """A task of one document, from its submission to its end."""
    task = new_task(0)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=1)
    finished = TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0)
    events = (accepted(task, knowledge_base), *UNTIL_INDEXED[1:])
    document = document_id(task, 0)
    return [
        recorded(at_us, write(task, 0, submitted, finished, knowledge_base=knowledge_base, task=task)),
        recorded(document_at_us, write(document, 0, *events, knowledge_base=knowledge_base, task=task)),
    ]


def recorded(at_us: int, one: Write) -> Write:
    envelopes = tuple(msgspec.structs.replace(envelope, recorded_at_us=at_us) for envelope in one.envelopes)
    return msgspec.structs.replace(one, envelopes=envelopes)


async def timed_ms(work: Awaitable[object]) -> float:
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


def note_growth(tasks: int, found: Size, small: Size) -> None:
    """Each figure beside the same at the smallest size, of the same minute."""
    base = f"{SMALL:,} tasks"
    note(f"{tasks:,} tasks: append p50", "ms", found.append_p50, beside=Peer(base, small.append_p50))
    named = {
        "append p99": (found.append_p99, small.append_p99, "ms"),
        "list p99": (found.list_p99, small.list_p99, "ms"),
        "list since the middle p99": (found.since_p99, small.since_p99, "ms"),
        "fold of an event": (found.fold_us, small.fold_us, "µs CPU"),
        "server's time of an event": (found.server_us, small.server_us, "µs CPU"),
        "the same, documents anywhere in the lists": (found.anywhere_us, small.anywhere_us, "µs CPU"),
        "the bare script's time of an event": (found.bare_us, small.bare_us, "µs CPU"),
    }
    for name, (values, before, unit) in named.items():
        note(f"{name}, {tasks:,} tasks", unit, values, beside=Peer(base, before))


@asynccontextmanager
async def partition() -> AsyncIterator[Partition]:
    """An empty one, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                keys = Keys(1)
                log = RedisLog(clients.commands, clients.blocking, keys)
                yield Partition(clients, await Workshop(log).create(), log, keys)
        finally:
            server.stop()


async def in_turns(grown: Partition) -> tuple[Size, Size]:
    """What a partition costs, and one of `SMALL` tasks."""
    found = nothing_found(), nothing_found()
    async with partition() as small:
        await small.grow_to(SMALL)
        await small.at_rest()
        both = tuple(zip((grown, small), found, strict=True))
        for _ in range(ROUNDS):
            for one, size in both:
                await one.measure(size)
        for _ in range(ROUNDS):
            for one, size in both:
                await one.measure_anywhere(size)
            for one, size in both:
                await one.measure_bare(size)
    return found


async def main(tasks_max: int) -> None:
    collect_seldom()  # as the projector and the API do
    async with partition() as grown:
        for tasks in (one for one in SIZES if one <= tasks_max):
            await grown.grow_to(tasks)
            rest_s = await grown.at_rest()
            print(f"{tasks:>9,} tasks: {rest_s:.1f} s until the server was at rest", flush=True)
            found, small = await in_turns(grown)
            tell(tasks, found)
            tell(SMALL, small)
            note_growth(tasks, found, small)


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TASKS_DEFAULT))
