"""What follows from the log, made anew on Redis, keeps the contract; and what only a real server holds."""

import pytest

from events.derived import DeadLetterChange, DerivedStore, Errand
from events.ids import pack_stream_id
from events.redis_clients import Clients
from events.redis_derived import PAGE_ENTRIES, RedisDerived
from events.steps import Lane, Step
from tests.contract.derived_contract import DerivedContract, DerivedWorld, owed_to
from tests.contract.digest_contract import DigestContract
from tests.contract.inbox_contract import BOTH, put
from tests.contract.log_world import PARTITIONS, RedisWorld
from tests.derived_keys import delete_derived_keys

pytest_plugins = ("tests.servers.redis",)


class _World(RedisWorld):
    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self.derived: DerivedStore = RedisDerived(clients.commands, self.keys)

    async def lose_everything_derived(self) -> None:
        await delete_derived_keys(self._client, PARTITIONS)


class TestRedisDerived(DerivedContract):
    @pytest.fixture
    def world(self, redis_clients: Clients) -> DerivedWorld:
        return _World(redis_clients)


class TestRedisDigests(DigestContract):
    @pytest.fixture
    def world(self, redis_clients: Clients) -> DerivedWorld:
        return _World(redis_clients)


async def test_an_inbox_of_several_pages_is_read_whole(redis_clients: Clients) -> None:
    world = _World(redis_clients)
    documents = [one for _ in range(3) for one in await put(world, count=PAGE_ENTRIES // 2)]
    assert await world.derived.errands(0) == {Errand(Step.PARSE, document, 1) for document in documents}


async def test_what_is_no_pointer_is_nobody_s_work(redis_clients: Clients) -> None:
    world = _World(redis_clients)
    await redis_clients.commands.xadd(world.keys.inbox(0, Step.PARSE, Lane.INTERACTIVE), {"p": "junk"})
    await redis_clients.commands.zadd(world.keys.due(0), {b"\xc8" + bytes(74): 1, b"\x01short": 2})
    assert await world.derived.errands(0) == set()


async def test_a_stream_whose_events_have_all_left_the_log_stands_where_it_stood(redis_clients: Clients) -> None:
    world = _World(redis_clients)
    (document,) = await put(world)
    (delivery,) = await world.inbox.take(BOTH, consumer="a", count=1)
    await world.lose_everything_derived()
    await redis_clients.commands.delete(world.keys.stream(document), world.keys.history(document))
    await redis_clients.commands.execute_command("HSET", world.keys.quiet(document), pack_stream_id(document), "7 1-0")
    assert await world.derived.put(0, [owed_to(delivery, version=1)]) == [False]
    assert await world.derived.put(0, [owed_to(delivery, version=7)]) == [True]
    assert await world.derived.change_dead_letters(0, [DeadLetterChange(document, 7, 5)]) == [True]
    assert await world.derived.errands(0) == {Errand(Step.PARSE, document, 1)}
