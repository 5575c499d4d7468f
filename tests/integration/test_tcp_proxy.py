"""The fault proxy itself, before a real server: what it loses was carried out, what it lets through arrives whole."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.redis_border import execute
from events.redis_clients import Clients
from tests.servers.redis_process import RedisProcess
from tests.servers.tcp_proxy import Loss, TcpProxy, Weather, read_frame
from tests.waiting import wait_for, wait_until

pytest_plugins = ("tests.servers.redis",)

DELAY_S = 0.2
SILENCE_S_MAX = 0.5


@pytest.fixture
def proxy(redis_server: RedisProcess) -> Iterator[TcpProxy]:
    with TcpProxy(redis_server.url) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: TcpProxy, redis_clients: Clients) -> AsyncIterator[Redis]:
    """Repeats nothing, so that each loss is seen. The server behind it is empty."""
    assert redis_clients is not None
    client = Redis.from_url(proxy.url, protocol=3, socket_timeout=SILENCE_S_MAX, retry=Retry(NoBackoff(), 0))
    yield client
    await client.aclose()


async def test_in_fair_weather_everything_arrives_whole(client: Redis) -> None:
    large = bytes(range(256)) * 4_096
    await execute(client, "SET", "large", large)
    assert await execute(client, "GET", "large") == large
    assert await execute(client, "HGETALL", "nothing") == {}
    async with client.pipeline(transaction=True) as pipeline:
        for number in range(300):
            pipeline.rpush("list", number)
        pipeline.lrange("list", 0, -1)
        *_, found = await pipeline.execute()
    assert [int(number) for number in found] == list(range(300))


async def test_replies_of_one_pipeline_are_late_together(proxy: TcpProxy, client: Redis) -> None:
    await execute(client, "PING")
    proxy.become(Weather(delay_s=DELAY_S))
    began_s = time.monotonic()
    async with client.pipeline(transaction=False) as pipeline:
        for _ in range(50):
            pipeline.incr("counter")
        assert (await pipeline.execute())[-1] == 50
    assert DELAY_S <= time.monotonic() - began_s < 3 * DELAY_S
    proxy.become()
    began_s = time.monotonic()
    await execute(client, "PING")
    assert time.monotonic() - began_s < DELAY_S


@pytest.mark.parametrize("loss", list(Loss))
async def test_the_command_whose_reply_is_lost_was_carried_out(
    proxy: TcpProxy, client: Redis, redis_clients: Clients, loss: Loss
) -> None:
    await execute(client, "PING")
    proxy.become(Weather(lose_every=3, loss=loss, of=b"INCR"))
    answers: list[object] = []
    for _ in range(6):
        try:
            await execute(client, "GET", "counter")
            answers.append(await execute(client, "INCR", "counter"))
        except (RedisConnectionError, RedisTimeoutError):
            answers.append(None)
    assert answers == [1, 2, None, 4, 5, None]
    assert proxy.lost == 2
    assert await execute(redis_clients.commands, "GET", "counter") == b"6"


async def test_a_cut_ends_all_connections_and_new_ones_are_taken(
    proxy: TcpProxy, client: Redis, redis_clients: Clients
) -> None:
    async def is_blocked() -> bool:
        return int((await redis_clients.commands.info("clients"))["blocked_clients"]) == 1

    waiting = asyncio.create_task(execute(client, "BLPOP", "nothing", 5))
    await wait_for(is_blocked, "the read waits in the server")
    proxy.cut()
    with pytest.raises(RedisConnectionError):
        await waiting
    await wait_until(lambda: proxy.connections == 0, "the connection has ended")
    assert await execute(client, "PING")


async def test_while_new_connections_are_refused_those_that_are_there_stay(proxy: TcpProxy, client: Redis) -> None:
    await execute(client, "PING")
    proxy.refuse()
    assert await execute(client, "PING")
    proxy.cut()
    with pytest.raises(RedisError):
        await execute(client, "PING")
    with pytest.raises(RedisConnectionError):
        await execute(client, "PING")
    proxy.admit()
    assert await execute(client, "PING")


async def test_a_half_closed_connection_answers_no_more(proxy: TcpProxy, client: Redis) -> None:
    await execute(client, "PING")
    proxy.half_close()
    with pytest.raises(RedisConnectionError):
        await execute(client, "PING")
    assert await execute(client, "PING")


async def test_a_server_that_is_not_there_looks_like_a_cut(own_redis: RedisProcess) -> None:
    with TcpProxy(own_redis.url) as proxy:
        own_redis.kill()
        client = Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0))
        with pytest.raises(RedisConnectionError):
            await execute(client, "PING")
        own_redis.start()
        assert await execute(client, "PING")
        await client.aclose()


@pytest.mark.parametrize(
    "frame",
    [
        *(b"+OK\r\n", b":7\r\n", b"_\r\n", b",1.5\r\n", b"$-1\r\n", b"*-1\r\n", b"$0\r\n\r\n", b"*0\r\n", b"%0\r\n"),
        *(b"$4\r\n\r\n\r\n\r\n", b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", b"%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n"),
        *(b">2\r\n+a\r\n=5\r\ntxt:a\r\n", b"|1\r\n+a\r\n+b\r\n*1\r\n:1\r\n", b"!5\r\nERR a\r\n"),
    ],
)
async def test_the_end_of_each_kind_of_frame_is_found(frame: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(frame + b"+next\r\n")
    reader.feed_eof()
    assert await read_frame(reader) == frame
    assert await read_frame(reader) == b"+next\r\n"
