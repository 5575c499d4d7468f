"""The views on Redis keep the contract."""

from typing import Any

import pytest

from events.envelope import Position
from events.epochs import EPOCH_FIRST
from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_epochs import RedisEpochs
from projections.feed import ChangeFeed
from projections.projection import TASKS, RowKey, member
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from projections.views import Checkpoint, IndexChange, Lease, ViewStore
from tests.contract.view_store_contract import (
    FEED_BYTES_MAX,
    PARTITIONS,
    ChangeFeedContract,
    ViewStoreContract,
    ViewWorld,
    commit,
    lease,
)
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

GENERATIONS = (1, 2)
USER, PASSWORD = "projector-of-before", "secret"


class RedisViewWorld:
    """The server's clock cannot be moved, so the ends of leases are moved into the past instead."""

    def __init__(self, clients: Clients) -> None:
        self._keys = Keys(PARTITIONS)
        self._client = clients.commands
        self.views: ViewStore = RedisViews(clients.commands, self._keys, feed_bytes_max=FEED_BYTES_MAX)
        self.feed: ChangeFeed = RedisFeed(clients.commands, clients.blocking, self._keys)

    async def break_feed(self) -> None:
        assert await RedisEpochs(self._client, self._keys).raise_epoch(0, Position(EPOCH_FIRST, 1, 0))

    async def end_leases(self) -> None:
        for generation in GENERATIONS:
            await self._client.hset(self._keys.checkpoint(0, generation), "until", "1")


@pytest.fixture
def world(redis_clients: Clients) -> ViewWorld:
    return RedisViewWorld(redis_clients)


class TestRedisViews(ViewStoreContract):
    pass


async def test_the_newest_of_a_long_list_stay_where_older_releases_look_and_nothing_is_left_of_it_once_it_is_dropped(
    redis_clients: Clients,
) -> None:
    world = RedisViewWorld(redis_clients)
    held = await lease(world, generation=2, build=True)
    # Enough for leaves in groups.
    members = tuple(member(1_700_000_000_000_000 + n, f"doc_00{'0' * 12}7000{8_000 + n:016x}") for n in range(12_000))
    assert await world.views.commit(commit(held, 1, indexes=(IndexChange("long", (), members),)))
    assert await redis_clients.commands.zcard(Keys(PARTITIONS).view(0, 2, "groups:long")) > 1
    newest: Any = await redis_clients.commands.zrange(Keys(PARTITIONS).view(0, 2, "index:long"), 0, -1)
    assert [one.decode() for one in newest] == list(members[-len(newest) :])
    assert 1 <= len(newest) < 100
    assert await world.views.members(0, 2, "long") == members
    calls = 1
    while not await world.views.drop(0, 2, limit=5):
        calls += 1
    assert calls > 2
    assert await redis_clients.commands.keys(Keys(PARTITIONS).views_pattern(0, 2)) == []


async def test_lists_that_are_to_stay_as_older_releases_read_them_get_no_leaves(redis_clients: Clients) -> None:
    keys = Keys(PARTITIONS)
    views = RedisViews(redis_clients.commands, keys, makes_leaves=False)
    members = tuple(member(1_700_000_000_000_000 + n, f"doc_00{'0' * 12}7000{8_000 + n:016x}") for n in range(1_000))
    held = await views.acquire(0, 1, holder="one", lease_ms=60_000)
    assert isinstance(held, Lease)
    assert await views.commit(commit(held, 1, indexes=(IndexChange("long", (), members),)))
    assert await redis_clients.commands.zcard(keys.view(0, 1, "index:long")) == 1_000
    assert await redis_clients.commands.keys(keys.view(0, 1, "lea*")) == []


async def test_a_user_that_lacks_a_right_of_a_commit_writes_nothing_of_it(
    redis_clients: Clients, redis_server: RedisProcess
) -> None:
    """A script that is refused in its midst would leave what it wrote before, so it asks for the right first."""
    rules = ("on", f">{PASSWORD}", "~*", "+@all", "-zremrangebyrank")
    await execute(redis_clients.commands, "ACL", "SETUSER", USER, "reset", *rules)
    url = redis_server.url.replace("unix://", f"unix://{USER}:{PASSWORD}@")
    async with make_clients(url) as clients:
        views = RedisViews(clients.commands, Keys(PARTITIONS))
        held = await views.acquire(0, 1, holder="one", lease_ms=60_000)
        assert isinstance(held, Lease)
        one = commit(held, 1, rows={RowKey(TASKS, "t"): b"row"}, indexes=(IndexChange("list", (), ("m",)),))
        with pytest.raises(LogUnavailable):
            await views.commit(one)
        assert await views.rows(0, TASKS, ["t"]) == [None]
        assert [found async for found in views.scan_indexes(0, 1)] == []
        assert await views.checkpoint(0, 1) == Checkpoint()
        await execute(redis_clients.commands, "ACL", "SETUSER", USER, "+zremrangebyrank")
        assert await views.commit(one)
    await execute(redis_clients.commands, "ACL", "DELUSER", USER)


class TestRedisFeed(ChangeFeedContract):
    pass
