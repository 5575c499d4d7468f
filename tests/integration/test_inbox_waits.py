"""Many consumers of one process wait for the same inboxes in one call, and each arrival still goes to one of them."""

import asyncio
from typing import Any

from redis.asyncio.cluster import RedisCluster

from events.inbox import Delivery
from events.redis_clients import Clients
from events.redis_inbox import RedisInbox
from events.steps import Step
from processors.turns import inboxes_in_turn
from tests.contract.inbox_contract import put, streams
from tests.contract.log_world import PARTITIONS, RedisWorld, inbox_key
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis", "tests.servers.redis_cluster")

CONSUMERS = 150
"""More than the connections of the pool for reads that wait, and in sum more than a node of a cluster is given."""

WAIT_MS = 20_000


async def blocked(clients: Clients) -> int:
    """Calls that wait at the servers."""
    client: Any = clients.commands
    if isinstance(client, RedisCluster):
        nodes = client.get_primaries()
        told = [await client.execute_command("INFO", "clients", target_nodes=node) for node in nodes]
    else:
        told = [await client.execute_command("INFO", "clients")]
    return sum(one["blocked_clients"] for one in told)


async def waiting_together(clients: Clients, calls_max: int) -> None:
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
    assert await blocked(clients) <= calls_max

    given: list[Delivery] = []
    for partition in range(PARTITIONS):
        documents = await put(world, inbox_key(Step.PARSE, partition=partition), count=2)
        async with asyncio.timeout(WAIT_MS / 2_000):
            while not set(documents) <= set(streams(given)):
                done, left = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
                given += [one for take in done for one in take.result()]
                takes = list(left)
    assert len(given) == len(set(streams(given))) == 2 * PARTITIONS
    assert await blocked(clients) <= 2 * calls_max
    for take in takes:
        take.cancel()
    await asyncio.gather(*takes, return_exceptions=True)
    late = await put(world)
    assert streams(await inbox.take(inboxes_in_turn(Step.PARSE, PARTITIONS, 0), consumer="late", count=9)) == late


async def test_on_one_server_they_wait_in_one_call(redis_clients: Clients) -> None:
    await waiting_together(redis_clients, 1)


async def test_on_a_cluster_they_wait_in_one_call_for_each_partition(cluster_clients: Clients) -> None:
    await waiting_together(cluster_clients, PARTITIONS)
