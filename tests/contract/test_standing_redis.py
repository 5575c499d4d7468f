"""How many dead letters, timers and living workers Redis has."""

import time

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_inbox import RedisInbox
from millstream.observing.installation import Installation
from millstream.observing.registry import Registry
from projections.memory_views import MemoryViews
from projections.redis_standing import RedisStanding
from projections.standing import Standing
from projections.system import System
from tests.read_world import World

pytest_plugins = ("tests.servers.redis",)

LEASE_MS = 60_000
PARTITIONS = 2


def standing_of(clients: Clients, *, ahead_ms: int = 0) -> RedisStanding:
    return RedisStanding(
        clients.commands, Keys(PARTITIONS), lease_ms=LEASE_MS, clock_ms=lambda: time.time_ns() // 1_000_000 + ahead_ms
    )


class TestRedisStanding:
    """Over all partitions."""

    async def test_an_empty_installation_has_none(self, redis_clients: Clients) -> None:
        assert await standing_of(redis_clients)() == Standing(dead_letters=0, timers=0, workers=0)

    async def test_they_are_counted_over_all_partitions_and_a_silent_worker_is_none(
        self, redis_clients: Clients
    ) -> None:
        world = World(redis_clients)
        inbox = RedisInbox(redis_clients.commands, redis_clients.blocking, world.keys)
        for partition in range(PARTITIONS):
            base = await world.workshop.create(partition=partition)
            _, (failed,) = await world.workshop.submit(base)
            await world.workshop.fail(failed)
            await inbox.beat(f"worker-{partition}")
        assert await standing_of(redis_clients)() == Standing(dead_letters=2, timers=0, workers=2)
        assert (await standing_of(redis_clients, ahead_ms=2 * LEASE_MS)()).workers == 0

    async def test_a_scrape_tells_of_every_server(self, redis_clients: Clients) -> None:
        world = World(redis_clients)
        inbox = RedisInbox(redis_clients.commands, redis_clients.blocking, world.keys)
        system = System(world.log, MemoryViews(partitions=PARTITIONS, clock_ms=lambda: 1), inbox, clock_us=lambda: 1)
        found = await Installation(system, standing_of(redis_clients), redis_clients.commands, world.keys).look()
        assert isinstance(found, Registry)
        figures = {family.name: {one.labels: one.value for one in series} for family, series in found.families()}
        assert figures["millstream_redis_up"] == {(): 1}
        servers = figures["millstream_redis_memory_bytes"]
        assert list(servers) == [(str(place),) for place in range(len(servers))]
        assert min(servers.values()) > 0
        assert figures["millstream_redis_replicas"].keys() == servers.keys()
        assert figures["millstream_partitions_halted"] == {(): 0}
