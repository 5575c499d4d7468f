"""Many consumers of one process wait for the same inboxes in one call, and each arrival still goes to one of them."""

import asyncio
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster

from events.inbox import Delivery, InboxDepth
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_inbox import RedisInbox
from events.redis_taking import ARRIVED_MAX
from events.steps import Step
from processors.turns import inboxes_in_turn
from tests.contract.inbox_contract import put, streams
from tests.contract.log_world import PARTITIONS, RedisWorld, inbox_key
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis", "tests.servers.redis_cluster")

CONSUMERS = 150
"""More than the connections of the pool for reads that wait, and in sum more than a node of a cluster is given."""

WAIT_MS = 20_000

PARSE: Final = inboxes_in_turn(Step.PARSE, PARTITIONS, 0)


async def blocked(clients: Clients) -> int:
    """Calls that wait at the servers."""
    client: Any = clients.commands
    if isinstance(client, RedisCluster):
        nodes = client.get_primaries()
        told = [await client.execute_command("INFO", "clients", target_nodes=node) for node in nodes]
    else:
        told = [await client.execute_command("INFO", "clients")]
    return sum(one["blocked_clients"] for one in told)


async def calls_of_waiting(clients: Clients) -> tuple[int, int]:
    """How many calls wait at the servers for all consumers together, and for those that are left once every other
    partition has given something; whatever came went to one of them."""
    world = RedisWorld(clients)
    inbox = RedisInbox(clients.commands, clients.blocking, world.keys)
    takes = [
        asyncio.create_task(
            inbox.take(
                inboxes_in_turn(Step.PARSE, PARTITIONS, number % 7), consumer=f"c{number}", count=3, wait_ms=WAIT_MS
            )
        )
        for number in range(CONSUMERS)
    ]

    async def all_wait() -> bool:
        return await blocked(clients) > 0 and inbox.waiting == CONSUMERS

    await wait_for(all_wait, "every consumer waits")
    calls = await blocked(clients)

    given: list[Delivery] = []
    for partition in range(PARTITIONS):
        documents = await put(world, inbox_key(Step.PARSE, partition=partition), count=2)
        async with asyncio.timeout(WAIT_MS / 2_000):
            while not set(documents) <= set(streams(given)):
                done, left = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
                given += [one for take in done for one in take.result()]
                takes = list(left)
    assert len(given) == len(set(streams(given))) == 2 * PARTITIONS
    calls_left = await blocked(clients)
    for take in takes:
        take.cancel()
    await asyncio.gather(*takes, return_exceptions=True)
    late = await put(world)
    assert streams(await inbox.take(inboxes_in_turn(Step.PARSE, PARTITIONS, 0), consumer="late", count=9)) == late
    return calls, calls_left


async def test_on_one_server_they_wait_in_one_call(redis_clients: Clients) -> None:
    calls, calls_left = await calls_of_waiting(redis_clients)
    assert calls == 1
    assert calls_left <= 2


async def test_on_a_cluster_they_wait_in_one_call_for_each_partition(cluster_clients: Clients) -> None:
    calls, calls_left = await calls_of_waiting(cluster_clients)
    assert 1 <= calls <= PARTITIONS
    assert calls_left <= 2 * PARTITIONS


async def waiting(world: RedisWorld, clients: Clients, count: int = 9) -> asyncio.Task[list[Delivery]]:
    """A consumer that waits behind what it has emptied."""
    taking = asyncio.create_task(world.inbox.take(PARSE, consumer="a", count=count, wait_ms=WAIT_MS))

    async def waits() -> bool:
        return await blocked(clients) == 1

    await wait_for(waits, "the consumer waits")
    return taking


async def test_what_arrives_is_in_the_hands_of_who_waits_with_the_append_that_led_to_it(
    redis_clients: Clients,
) -> None:
    world = RedisWorld(redis_clients)
    documents = await put(world)
    assert streams(await world.inbox.take(PARSE, consumer="a", count=9)) == documents
    for _ in range(3):  # behind a sweep, and behind what the wait before was handed
        taking = await waiting(world, redis_clients)
        pending = (await world.inbox.depth(inbox_key(Step.PARSE))).pending
        documents = await put(world)
        assert await world.inbox.depth(inbox_key(Step.PARSE)) == InboxDepth(waiting=0, pending=pending + 1)
        assert streams(await taking) == documents


async def test_who_waits_is_handed_no_more_than_it_asks_for_and_finds_the_rest_with_the_next_call(
    redis_clients: Clients,
) -> None:
    world = RedisWorld(redis_clients)
    for asked, handed in ((3, 3), (100, ARRIVED_MAX)):
        taking = await waiting(world, redis_clients, asked)
        documents = await put(world, count=20)
        first = streams(await taking)
        assert first == documents[:handed]
        assert streams(await world.inbox.take(PARSE, consumer="a", count=100, wait_ms=WAIT_MS)) == documents[handed:]


async def test_what_arrives_once_the_server_has_forgotten_the_scripts_is_handed_out(redis_clients: Clients) -> None:
    world = RedisWorld(redis_clients)
    taking = await waiting(world, redis_clients)
    await execute(redis_clients.commands, "SCRIPT", "FLUSH")
    documents = await put(world)
    assert streams(await taking) == documents


async def test_a_wait_in_vain_sweeps_nothing(redis_clients: Clients) -> None:
    world = RedisWorld(redis_clients)
    assert await world.inbox.take(PARSE, consumer="a", count=9, wait_ms=20) == []
    await execute(redis_clients.commands, "CONFIG", "RESETSTAT")
    for _ in range(3):
        assert await world.inbox.take(PARSE, consumer="a", count=9, wait_ms=20) == []
    stats: dict[str, Any] = await redis_clients.commands.info("commandstats")
    assert stats["cmdstat_xreadgroup"]["calls"] == 3
    assert stats["cmdstat_evalsha"]["calls"] == 3


async def test_of_two_processes_that_wait_an_arrival_wakes_one(redis_clients: Clients) -> None:
    world = RedisWorld(redis_clients)
    takes = {}
    for number, name in enumerate(("a", "b"), 1):
        inbox = RedisInbox(redis_clients.commands, redis_clients.blocking, world.keys)
        takes[asyncio.create_task(inbox.take(PARSE, consumer=name, count=9, wait_ms=WAIT_MS))] = name

        async def waits(count: int = number) -> bool:
            return await blocked(redis_clients) == count

        await wait_for(waits, "it waits")
    await execute(redis_clients.commands, "CONFIG", "RESETSTAT")
    for first, left in (("a", 1), ("b", 0)):  # who waits longest goes first
        documents = await put(world)
        done, _ = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        assert [takes.pop(ended) for ended in done] == [first]
        assert [streams(ended.result()) for ended in done] == [documents]
        assert await blocked(redis_clients) == left
    stats: dict[str, Any] = await redis_clients.commands.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 4  # two appends, and a take for each


async def test_of_those_that_wait_one_is_handed_what_arrives_and_the_others_wait_on(redis_clients: Clients) -> None:
    world = RedisWorld(redis_clients)
    takes = [await waiting(world, redis_clients)]
    takes += [
        asyncio.create_task(world.inbox.take(PARSE, consumer=name, count=9, wait_ms=WAIT_MS)) for name in ("b", "c")
    ]
    for left in (2, 1, 0):
        (document,) = await put(world)
        done, _ = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        (ended,) = done
        assert streams(ended.result()) == [document]
        takes.remove(ended)
        assert len(takes) == left
