"""An unsafe server is refused with what to change, and an installation keeps the number of partitions it began with."""

import asyncio

import pytest

from events.errors import FormatMismatch, UnsafeConfiguration
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_setup import allow_events_by_place, check_server, fsync_policy, open_installation, what_is_unsafe
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

SAFE = {"redis_version": "8.2.3", "aof_enabled": "1", "maxmemory_policy": "noeviction"}


async def test_the_first_start_fixes_the_number_of_partitions(redis_clients: Clients) -> None:
    assert (await open_installation(redis_clients.commands, partitions=5)).partitions == 5
    assert (await open_installation(redis_clients.commands, partitions=None)).partitions == 5
    assert (await open_installation(redis_clients.commands, partitions=5)).partitions == 5
    with pytest.raises(FormatMismatch, match="the store has 5, not 6"):
        await open_installation(redis_clients.commands, partitions=6)


async def test_eight_partitions_are_the_default(redis_clients: Clients) -> None:
    assert (await open_installation(redis_clients.commands, partitions=None)).partitions == 8


async def test_of_many_first_starts_at_once_one_decides(redis_clients: Clients) -> None:
    calls = (open_installation(redis_clients.commands, partitions=n) for n in (4, 5, 6, 7, 8))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    stored = (await open_installation(redis_clients.commands, partitions=None)).partitions
    opened = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [keys.partitions for keys in opened] == [stored]
    assert sum(isinstance(answer, FormatMismatch) for answer in answers) == 4


async def test_another_format_is_refused_and_left_alone(redis_clients: Clients) -> None:
    keys = await open_installation(redis_clients.commands, partitions=3)
    for damage in (("format", "3"), ("format", ""), ("partitions", "many")):
        await execute(redis_clients.commands, "HSET", keys.installation, *damage)
        with pytest.raises(FormatMismatch):
            await open_installation(redis_clients.commands, partitions=None)
        stored = await execute(redis_clients.commands, "HGET", keys.installation, damage[0])
        assert stored.decode() == damage[1]


async def test_whoever_may_write_events_by_place_tells_programs_that_cannot_read_them(redis_clients: Clients) -> None:
    keys = await open_installation(redis_clients.commands, partitions=3)
    for stored in ("1", "2"):
        assert await execute(redis_clients.commands, "HGET", keys.installation, "format") == stored.encode()
        await allow_events_by_place(redis_clients.commands, keys)
        assert (await open_installation(redis_clients.commands, partitions=None)).partitions == 3
    assert await execute(redis_clients.commands, "HGET", keys.installation, "format") == b"2"


async def test_a_number_of_partitions_out_of_range_is_refused_before_anything_is_stored(redis_clients: Clients) -> None:
    for partitions in (0, -1, 257):
        with pytest.raises(FormatMismatch):
            await open_installation(redis_clients.commands, partitions=partitions)
    assert await execute(redis_clients.commands, "DBSIZE") == 0


async def test_namespaces_are_installations_of_their_own(redis_clients: Clients) -> None:
    await open_installation(redis_clients.commands, partitions=3, namespace="one")
    assert (await open_installation(redis_clients.commands, partitions=4, namespace="two")).partitions == 4


async def test_a_server_that_is_set_unsafe_is_refused_until_it_is_set_right(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        await check_server(clients.commands)
        for name, bad, good in (
            ("maxmemory-policy", "allkeys-lru", "noeviction"),
            ("appendonly", "no", "yes"),
        ):
            await execute(clients.commands, "CONFIG", "SET", name, bad)
            with pytest.raises(UnsafeConfiguration, match=f"set `{name} {good}`"):
                await open_installation(clients.commands, partitions=None)
            await execute(clients.commands, "CONFIG", "SET", name, good)
        assert (await open_installation(clients.commands, partitions=None)).partitions == 8


@pytest.mark.parametrize("version", ["7.2.4", "7.1.9", "6.2.20", "unknown", ""])
def test_a_server_that_is_too_old_is_refused(version: str) -> None:
    reason = what_is_unsafe({**SAFE, "redis_version": version})
    assert reason is not None
    assert "7.2.5" in reason


@pytest.mark.parametrize("version", ["7.2.5", "7.4.0", "8.0.0-rc1", "8.10.1"])
def test_a_server_that_is_new_enough_is_taken(version: str) -> None:
    assert what_is_unsafe({**SAFE, "redis_version": version}) is None


def test_a_server_that_tells_nothing_is_refused() -> None:
    for missing in SAFE:
        assert what_is_unsafe({name: value for name, value in SAFE.items() if name != missing}) is not None


async def test_the_fsync_policy_is_told_where_the_server_lets_us_ask(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        assert await fsync_policy(clients.commands) == "always"
        await execute(clients.commands, "ACL", "SETUSER", "default", "-config")
        assert await fsync_policy(clients.commands) is None
        assert (await open_installation(clients.commands, partitions=None)).partitions == 8
