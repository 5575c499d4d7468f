"""The projector on a real Redis: killed, doubled, and replaced by a rebuild while appends go on."""

import asyncio

import pytest

from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from projections.projection import TASKS
from projections.projector import Projector, run_projectors
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from projections.replay import Rebuilt, rebuild
from projections.views import Commit
from tests.generations import compare
from tests.projecting import project
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)

PARTITIONS = 2


class CrashingViews(RedisViews):
    """Dies between fold and commit, or loses the answer of a commit that took effect."""

    crashes_before = crashes_after = 0

    async def commit(self, commit: Commit) -> bool:
        if self.crashes_before:
            self.crashes_before -= 1
            raise SystemError("killed between fold and commit")
        committed = await super().commit(commit)
        if self.crashes_after:
            self.crashes_after -= 1
            raise LogUnavailable("the answer was lost")
        return committed


class World:
    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.keys = Keys(PARTITIONS)
        self.log = RedisLog(clients.commands, clients.blocking, self.keys)
        self.views = CrashingViews(clients.commands, self.keys)
        self.feed = RedisFeed(clients.commands, clients.blocking, self.keys)
        self.workshop = Workshop(self.log)

    async def is_projected(self) -> bool:
        for partition in range(PARTITIONS):
            if (await self.views.checkpoint(partition)).number < (await self.log.head(partition)).number:
                return False
        return True

    async def expect_views_as_folded_at_once(self) -> None:
        """Builds each partition anew and compares row by row."""
        for partition in range(PARTITIONS):
            live = await self.views.live_generation(partition)
            await rebuild(self.log, self.views, partition, holder="check", drops_old=False)
            assert await compare(self.views, partition, live, live + 1) == []


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


async def test_a_kill_between_fold_and_commit_repeats_harmlessly(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 3)
    for _ in range(3):
        world.views.crashes_before = 1
        projector = Projector(world.log, world.views, partition=0, holder="one", page_events=4)
        with pytest.raises(SystemError):
            await projector.advance()
        assert await Projector(world.log, world.views, partition=0, holder="one", page_events=4).advance() == 4
    await project(world.log, world.views, holder="one")
    await world.expect_views_as_folded_at_once()


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 2)
    projector = Projector(world.log, world.views, partition=0, holder="one", page_events=5)
    world.views.crashes_after = 1
    with pytest.raises(LogUnavailable):
        await projector.advance()
    while await projector.advance():
        pass
    assert await world.is_projected()
    await world.expect_views_as_folded_at_once()


async def test_two_projectors_on_one_log_lead_to_the_same_views(world: World) -> None:
    stop = asyncio.Event()
    running = [
        asyncio.create_task(run_projectors(world.log, world.views, holder=holder, stop=stop))
        for holder in ("one", "two")
    ]
    bases = [await world.workshop.create(f"kb {partition}", partition=partition) for partition in range(PARTITIONS)]
    for base in bases:
        for _ in range(5):
            await world.workshop.through(base, 2)
    await wait_for(world.is_projected, "both partitions projected")
    stop.set()
    await asyncio.gather(*running)
    await world.expect_views_as_folded_at_once()


async def test_a_rebuild_beside_the_running_projector_while_appends_go_on(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_projectors(world.log, world.views, holder="live", stop=stop))
    knowledge_base = await world.workshop.create(partition=0)
    first, _ = await world.workshop.through(knowledge_base, 2)
    await wait_for(world.is_projected, "the first task projected")
    rebuilding = asyncio.create_task(_rebuild_twice(world))
    seen: list[int] = []
    while not rebuilding.done():
        await world.workshop.through(knowledge_base, 2)
        (row,) = await world.views.rows(0, TASKS, [first])
        assert row is not None, "readers always see the one generation or the other, never a hole"
        seen.append((await world.views.checkpoint(0)).number)
    rebuilt = await rebuilding
    assert [(one.before, one.after) for one in rebuilt] == [(1, 2), (2, 3)]
    assert seen == sorted(seen), "the views never go back in time"
    await world.workshop.through(knowledge_base, 2)
    await wait_for(world.is_projected, "what came after the swap projected")
    stop.set()
    await running
    await world.expect_views_as_folded_at_once()
    old = [key async for key in world.clients.commands.scan_iter(match=world.keys.views_pattern(0, 1))]
    assert old == []


async def test_projectors_wait_for_a_store_that_went_away(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        world, stop = World(clients), asyncio.Event()
        running = asyncio.create_task(run_projectors(world.log, world.views, holder="one", stop=stop))
        knowledge_base = await world.workshop.create(partition=0)
        await wait_for(world.is_projected, "the knowledge base projected")
        own_redis.kill()
        own_redis.start()
        await world.workshop.through(knowledge_base, 2)
        await wait_for(world.is_projected, "what came after the outage projected")
        stop.set()
        await running
        await world.expect_views_as_folded_at_once()


async def _rebuild_twice(world: World) -> list[Rebuilt]:
    return [await rebuild(world.log, world.views, 0, holder=f"rebuild {turn}") for turn in range(2)]
