"""Turns of upkeep on a real Redis: one at a time, until it is given back or ends."""

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_turns import RedisTurns
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)

LONG_MS = 60_000


def turns_of(clients: Clients, holder: str) -> RedisTurns:
    return RedisTurns(clients.commands, Keys(1), holder=holder)


async def test_one_holds_the_lease_and_renews_it_until_it_gives_it_back(redis_clients: Clients) -> None:
    one, other = turns_of(redis_clients, "one"), turns_of(redis_clients, "other")
    assert await one.take(ttl_ms=LONG_MS)
    assert await one.take(ttl_ms=LONG_MS)
    assert not await other.take(ttl_ms=LONG_MS)
    await other.give_back()
    assert not await other.take(ttl_ms=LONG_MS)
    await one.give_back()
    assert await other.take(ttl_ms=LONG_MS)


async def test_the_lease_of_one_that_died_ends(redis_clients: Clients) -> None:
    one, other = turns_of(redis_clients, "one"), turns_of(redis_clients, "other")
    assert await one.take(ttl_ms=50)
    await wait_for(lambda: other.take(ttl_ms=LONG_MS), "the lease has ended")
    assert not await one.take(ttl_ms=LONG_MS)


async def test_what_is_done_is_remembered_for_a_while_by_all(redis_clients: Clients) -> None:
    one, other = turns_of(redis_clients, "one"), turns_of(redis_clients, "other")
    assert not await other.is_done("collected")
    await one.done("collected", for_ms=50)
    assert await other.is_done("collected")
    assert not await other.is_done("noted")

    async def is_forgotten() -> bool:
        return not await other.is_done("collected")

    await wait_for(is_forgotten, "it is due again")
