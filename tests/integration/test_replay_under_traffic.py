"""Rebuilds and verifications while facts are appended, projected and read over HTTP: old or new, never a mixture."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import httpx
import pytest

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_log import RedisLog
from projections.projector import run_projectors
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from projections.replay import rebuild
from projections.verify import verify
from tests.servers.read_api import serving
from tests.waiting import wait_for, wait_until
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)

REBUILDS = 6
READS_MIN = 200


class Readers:
    """Clients that ask the same things over and over, and never see time go back."""

    def __init__(self, http: httpx.AsyncClient, task: str, base: str) -> None:
        self._http = http
        self._paths = (f"/tasks/{task}", f"/knowledge-bases/{base}")
        self._lists = ("/tasks", f"/knowledge-bases/{base}/documents")
        self.reads = 0

    async def watch_one(self, path: str, stop: asyncio.Event) -> None:
        version = 0
        while not stop.is_set():
            answer = await self._http.get(path)
            assert answer.status_code == 200, answer.text
            status = answer.json()
            assert status["version"] >= version, f"{path} went back from {version} to {status['version']}"
            assert _adds_up(status), status
            version = status["version"]
            self.reads += 1

    async def watch_list(self, path: str, stop: asyncio.Event) -> None:
        total = 0
        while not stop.is_set():
            answer = await self._http.get(path, params={"limit": 200})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert page["total"] >= total, f"{path} shrank from {total} to {page['total']}"
            assert len(page["data"]) == min(page["total"], 200)
            total = page["total"]
            self.reads += 1

    def run(self, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        return [self.watch_one(path, stop) for path in self._paths] + [
            self.watch_list(path, stop) for path in self._lists
        ]


def _adds_up(status: dict[str, object]) -> bool:
    """A task's counts are those of one moment: together all of its documents."""
    counts = status.get("documents")
    if not isinstance(counts, dict) or "total" not in counts or "task_id" not in status:
        return True
    own: int = counts["total"]
    return sum(count for name, count in counts.items() if name != "total" and isinstance(count, int)) == own


class World:
    def __init__(self, clients: Clients) -> None:
        self.keys = Keys(1)
        self.log = RedisLog(clients.commands, clients.blocking, self.keys)
        self.views = RedisViews(clients.commands, self.keys)
        self.feed = RedisFeed(clients.commands, clients.blocking, self.keys)
        self.workshop = Workshop(self.log)

    async def is_projected(self) -> bool:
        return (await self.views.checkpoint(0)).number == (await self.log.head(0)).number


@pytest.fixture
async def world(redis_clients: Clients) -> AsyncIterator[World]:
    world, stop = World(redis_clients), asyncio.Event()
    projecting = asyncio.create_task(run_projectors(world.log, world.views, holder="live", stop=stop))
    try:
        yield world
    finally:
        stop.set()
        await projecting


async def _under_traffic(world: World, work: Callable[[], Awaitable[None]]) -> Readers:
    """Appends, and reads over HTTP, as long as the work goes on and every reader has read enough."""
    base = await world.workshop.create(partition=0)
    task, documents = await world.workshop.submit(base, 10)
    await wait_for(world.is_projected, "the first facts are projected")
    stop = asyncio.Event()

    async def traffic() -> None:
        for document in documents:
            await world.workshop.complete(document)
        while not stop.is_set():
            await world.workshop.through(base, 2)

    async with (
        serving(world.log, world.views, world.feed) as api,
        httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=20) as http,
    ):
        readers = Readers(http, task, base)
        running = [asyncio.ensure_future(one) for one in (traffic(), *readers.run(stop))]
        try:
            await work()
            await wait_until(lambda: readers.reads > READS_MIN or any(map(_has_failed, running)), "enough was read")
        finally:
            stop.set()
            await asyncio.gather(*running)
    await wait_for(world.is_projected, "the last facts are projected")
    return readers


def _has_failed(task: asyncio.Future[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


async def test_readers_see_the_old_views_or_the_new_ones_and_never_time_going_back(world: World) -> None:
    async def rebuild_often() -> None:
        for turn in range(REBUILDS):
            await rebuild(world.log, world.views, 0, holder=f"rebuild {turn}")

    await _under_traffic(world, rebuild_often)
    assert await world.views.live_generation(0) == 1 + REBUILDS
    assert (await verify(world.log, world.views, 0, holder="check")).differences == ()


async def test_views_that_are_written_to_all_the_while_are_found_sound(world: World) -> None:
    found = []

    async def verify_often() -> None:
        for turn in range(REBUILDS):
            verified = await verify(world.log, world.views, 0, holder=f"verify {turn}")
            found.append(verified)

    await _under_traffic(world, verify_often)
    assert [one.differences for one in found] == [()] * REBUILDS
    numbers = [one.checkpoint.number for one in found]
    assert numbers == sorted(numbers)
    assert await world.views.live_generation(0) == 1
