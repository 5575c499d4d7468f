"""The projector on a real Redis: killed, doubled, and replaced by a rebuild while appends go on."""

import asyncio
import hashlib
import io

import pytest

from events.errors import LogUnavailable
from events.keys import Keys
from events.log import EventLog
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from projections.errors import LogHasHole
from projections.holes import Hole, holes
from projections.projection import TASKS
from projections.projector import Projector, run_projectors
from projections.redis_feed import RedisFeed
from projections.redis_script import ViewScript
from projections.redis_views import RedisViews
from projections.replay import Rebuilt, rebuild
from projections.views import Commit, ViewStore
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


class OlderViews(RedisViews):
    """Writes as releases do that know of no leaves: a list is one sorted set."""

    def __init__(self, clients: Clients, keys: Keys) -> None:
        super().__init__(clients.commands, keys)
        self._commit = OlderCommit()


class OlderCommit(ViewScript):
    """What mattered of the script of such a release, for the arguments of today's."""

    def __init__(self) -> None:
        self.text = """#!lua
        local place = 17
        local function each(count, visit)
          for _ = 1, count do
            visit(ARGV[place], ARGV[place + 1])
            place = place + 1
          end
        end
        for t = 1, tonumber(ARGV[11]) do
          local rows, removed, key = tonumber(ARGV[place]), tonumber(ARGV[place + 1]), KEYS[4 + t]
          place = place + 2
          each(rows, function(id, row)
            redis.call('HSET', key, id, row)
            place = place + 1
          end)
          each(removed, function(id) redis.call('HDEL', key, id) end)
        end
        for l = 1, tonumber(ARGV[12]) do
          local name, removed, added = ARGV[place], tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2])
          local key = KEYS[4 + tonumber(ARGV[11]) + l]
          place = place + 3
          each(removed, function(member) redis.call('ZREM', key, member) end)
          each(added, function(member) redis.call('ZADD', key, 0, member) end)
          if added > 0 then redis.call('SADD', KEYS[3], name) end
        end
        redis.call('HSET', KEYS[1], 'position', ARGV[3], 'number', ARGV[4], 'retired', ARGV[14])
        return 1
        """
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


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

    async def delete_events(self, first: int, last: int) -> None:
        """Of partition 0, as somebody does it who takes the log for a queue."""
        log = self.keys.log(0)
        entries = await execute(self.clients.commands, "XRANGE", log, "-", "+")
        numbered = {int(fields[b"n"]): entry_id for entry_id, fields in entries}
        await execute(self.clients.commands, "XDEL", log, *(numbered[one] for one in range(first, last + 1)))

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


async def test_long_lists_that_an_older_release_wrote_to_are_built_anew(world: World, log_lines: io.StringIO) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 150)
    older = OlderViews(world.clients, world.keys)
    for views in (world.views, older, world.views):
        projector = Projector(world.log, views, partition=0, holder="one", page_events=200, rebuild=rebuild)
        for _ in range(2):
            await projector.advance()
    while await projector.advance() != 0:
        pass
    assert await world.is_projected()
    assert log_lines.getvalue().count("lists_by_older_release") == 1
    assert await world.views.live_generation(0) == 2
    await world.expect_views_as_folded_at_once()


async def _rebuild_twice(world: World) -> list[Rebuilt]:
    return [await rebuild(world.log, world.views, 0, holder=f"rebuild {turn}") for turn in range(2)]


async def test_nothing_is_folded_over_a_hole_in_the_log_and_the_views_go_on_once_it_is_filled(
    world: World, log_lines: io.StringIO
) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 1)
    stood_at = (await world.log.head(0)).number
    await world.workshop.through(knowledge_base, 2)
    copy = await execute(world.clients.commands, "DUMP", world.keys.log(0))
    await world.delete_events(stood_at + 3, stood_at + 5)
    builds = list[int]()

    async def counted(event_log: EventLog, views: ViewStore, partition: int, *, holder: str) -> object:
        builds.append(partition)
        return await rebuild(event_log, views, partition, holder=holder)

    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=counted)
    assert await projector.advance() == stood_at + 2, "the events of the page that lie before the hole"
    assert [await projector.advance() for _ in range(4)] == [None] * 4
    assert (await world.views.checkpoint(0)).number == stood_at + 2
    assert builds == [0], "views that are built anew stand before the same hole"
    assert log_lines.getvalue().count("log_has_hole") == 1
    hole = Hole(0, stood_at + 3, stood_at + 5)
    assert await holes(world.log, world.views) == [hole]
    assert f"events {hole.first} to {hole.last} are missing" in log_lines.getvalue()

    await execute(world.clients.commands, "RESTORE", world.keys.log(0), 0, copy, "REPLACE")
    while await projector.advance() != 0:
        pass
    assert await holes(world.log, world.views) == []
    await world.expect_views_as_folded_at_once()


async def test_a_log_that_lost_its_last_events_alone_has_a_hole(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 1)
    head = await world.log.head(0)
    await world.delete_events(head.number - 1, head.number)
    await project(world.log, world.views)
    assert await holes(world.log, world.views) == [Hole(0, head.number - 1, head.number)]


async def test_views_behind_a_hole_go_on_and_are_not_replaced_by_less(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    await world.workshop.through(knowledge_base, 2)
    projector = Projector(world.log, world.views, partition=0, holder="one", rebuild=rebuild)
    assert await projector.advance()
    await world.delete_events(3, 4)
    with pytest.raises(LogHasHole, match="holds event 5 where 3 is next"):
        await rebuild(world.log, world.views, 0, holder="two")
    assert await world.views.live_generation(0) == 1
    await world.workshop.through(knowledge_base, 1)
    head = await world.log.head(0)
    while (await world.views.checkpoint(0)).number < head.number:
        await projector.advance()
    assert await holes(world.log, world.views) == []
