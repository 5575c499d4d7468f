"""The registry on Redis keeps the contract, forgets what is over, and keeps what was promised."""

import time

import pytest

from events.errors import LogUnavailable
from events.ids import TaskId
from events.keys import Keys, slot_of
from events.redis_clients import Clients, make_clients
from ingest.redis_uploads import GONE_KEPT_US, RedisUploads
from ingest.upload_registry import Finished
from tests.contract.upload_registry_contract import (
    HOUR_US,
    LATER_US,
    NOW_US,
    UploadRegistryContract,
    created,
    new_upload,
    piece,
    taken,
)
from tests.servers.redis_process import RedisProcess
from tests.servers.tcp_proxy import TcpProxy, Weather

pytest_plugins = ("tests.servers.redis",)

KEYS = Keys(1)
ID = "a" * 32


class TestRedisUploads(UploadRegistryContract):
    @pytest.fixture
    def registry(self, redis_clients: Clients) -> RedisUploads:
        return RedisUploads(redis_clients.commands, KEYS)


async def left_ms(clients: Clients, key: str) -> int:
    return int(await clients.commands.pttl(key))


async def test_what_waits_for_bytes_is_forgotten_one_day_and_what_has_all_is_not(redis_clients: Clients) -> None:
    registry, now_us = RedisUploads(redis_clients.commands, KEYS), time.time_ns() // 1_000
    keys = [KEYS.upload(ID), KEYS.upload_pieces(ID)]
    await registry.create(new_upload(), expires_us=now_us + HOUR_US, now_us=now_us, open_max=1)
    assert 0 < await left_ms(redis_clients, keys[0]) <= (HOUR_US + GONE_KEPT_US) // 1_000
    fence = (await taken(registry, 0)).fence
    await registry.record(ID, fence, [piece(0, 60)], expires_us=now_us + HOUR_US)
    assert all([await left_ms(redis_clients, key) > 0 for key in keys])
    await registry.record(ID, fence, [piece(60, 40)], expires_us=now_us + HOUR_US)
    assert [await left_ms(redis_clients, key) for key in keys] == [-1, -1]
    await registry.end(ID, Finished(TaskId("task_1")), kept_until_us=now_us + HOUR_US)
    await registry.forget(ID, "me")
    assert 0 < await left_ms(redis_clients, keys[0]) <= HOUR_US // 1_000
    assert await redis_clients.commands.keys("*") == [keys[0].encode()]


async def test_a_length_that_comes_last_keeps_the_upload_too(redis_clients: Clients) -> None:
    registry = RedisUploads(redis_clients.commands, KEYS)
    await created(registry, length=None)
    await registry.record(ID, (await taken(registry, 0)).fence, [piece(0, 60)], expires_us=LATER_US)
    await taken(registry, 60, length=60)
    assert await left_ms(redis_clients, KEYS.upload(ID)) == await left_ms(redis_clients, KEYS.upload_pieces(ID)) == -1


async def test_a_lost_answer_is_asked_for_again_and_counts_once(redis_server: RedisProcess) -> None:
    with TcpProxy(redis_server.url) as proxy:
        async with make_clients(proxy.url) as clients:
            await clients.commands.flushall()
            registry = RedisUploads(clients.commands, KEYS)
            await created(registry)
            proxy.become(Weather(lose_every=2, of=b"EVALSHA"))
            for offset in range(0, 100, 10):
                fence = (await taken(registry, offset)).fence
                assert await registry.record(ID, fence, [piece(offset, 10)], expires_us=LATER_US)
            assert await registry.begin_finish(ID, "one", now_us=NOW_US, until_us=LATER_US)
            assert proxy.lost > 0
            assert await registry.pieces(ID) == tuple(piece(offset, 10) for offset in range(0, 100, 10))


async def test_the_keys_of_an_upload_share_a_slot_and_show_nobodys_name(redis_clients: Clients) -> None:
    registry = RedisUploads(redis_clients.commands, KEYS)
    await created(registry, actor="hush")
    assert slot_of(KEYS.upload(ID)) == slot_of(KEYS.upload_pieces(ID))
    assert slot_of(KEYS.uploads_due()) == slot_of(KEYS.uploads_of("hush"))
    assert not [key for key in await redis_clients.commands.keys("*") if b"hush" in key]


async def test_a_server_that_is_gone_is_an_outage_of_the_log(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        registry = RedisUploads(clients.commands, KEYS)
        await created(registry)
        own_redis.stop()
        with pytest.raises(LogUnavailable):
            await registry.get(ID)
        with pytest.raises(LogUnavailable):
            await registry.take(ID, offset=0)
