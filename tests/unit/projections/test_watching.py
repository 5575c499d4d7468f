"""The beginning of a stream: each state is told once, also where the projector had not reached it yet."""

import asyncio
from collections.abc import AsyncGenerator

from events.memory import MemoryLog
from projections.changes import ChangeTailer
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.watching import Group, Story, Watch, WatchedTask
from tests.projecting import project
from tests.waiting import wait_until
from tests.workshop import Workshop


async def until_silence(groups: AsyncGenerator[Group, None]) -> list[str]:
    """Whose states are told until a sign of life says that there is nothing more."""
    told: list[str] = []
    async with asyncio.timeout(10):
        while frames := (await anext(groups)).frames:
            told += [frame.id for frame in frames]
    return told


async def offered(tailer: ChangeTailer, views: MemoryViews) -> None:
    end = await views.feed_end(0)
    await wait_until(lambda: tailer.has_passed(0, end), "every change was offered")


async def test_what_was_folded_from_the_log_is_not_told_again_when_the_views_have_it() -> None:
    log = MemoryLog(partitions=1, clock_us=lambda: 0)
    views = MemoryViews(partitions=1, clock_ms=lambda: 0)
    workshop, stop = Workshop(log), asyncio.Event()
    task, (first, second) = await workshop.submit(await workshop.create(), 2)
    queries, tailer = Queries(log, views), ChangeTailer(views, views)
    watch = Watch(queries, views, tailer, heartbeat_s=0.001)
    tailing = asyncio.create_task(tailer.run(stop))
    with tailer.watching(task) as subscription:
        groups = Story(watch, WatchedTask(queries, task), subscription).groups(None)
        assert (await until_silence(groups))[:3] == [task, first, second]
        await project(log, views)
        await offered(tailer, views)
        assert await until_silence(groups) == []
        await workshop.start(second)
        await project(log, views)
        await offered(tailer, views)
        assert await until_silence(groups) == [second, task]
        await groups.aclose()
    stop.set()
    await tailing
