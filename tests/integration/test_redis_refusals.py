"""What a server refuses for other reasons than a broken contract: no more ids, no rights, no room, no pointer."""

import asyncio
import io
from collections.abc import Awaitable

import pytest

from events import redis_clients
from events.document import StepStarted
from events.errors import FormatMismatch, LogUnavailable, NotReplicated
from events.ids import DocumentId
from events.log import Unreadable, Write
from events.redis_border import at_the_border, execute
from events.redis_clients import Clients, make_clients
from events.redis_log import LAST_ENTRY_ID
from events.redis_streams import StreamReads
from events.steps import Step
from tests.contract.inbox_contract import INTERACTIVE, put
from tests.contract.log_world import RedisWorld
from tests.event_samples import new_document, new_knowledge_base, new_task, write
from tests.servers.redis_process import RedisProcess
from tests.servers.tcp_proxy import Loss, TcpProxy, Weather
from tests.waiting import wait_for, wait_until

pytest_plugins = ("tests.servers.redis",)

KB = new_knowledge_base()
TASK = new_task()
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")


def started(document: DocumentId) -> Write:
    return write(document, 0, STARTED, knowledge_base=KB, task=TASK)


@pytest.fixture
def world(redis_clients: Clients) -> RedisWorld:
    return RedisWorld(redis_clients)


async def test_a_log_that_takes_no_more_entries_refuses_appends_and_is_still_read(
    world: RedisWorld, redis_clients: Clients
) -> None:
    await world.log.append([started(new_document())])
    await execute(redis_clients.commands, "XADD", world.keys.log(0), LAST_ENTRY_ID, "e", "the last")
    first, last = await world.log.read(0)
    assert isinstance(last, Unreadable)
    assert await world.log.read(0, after=last.position) == []
    assert await world.log.read(0, after=last.position, wait_ms=20) == []
    with pytest.raises(LogUnavailable, match="exhausted"):
        await world.log.append([started(new_document())])
    assert (await world.log.head(0)).position == first.position


async def test_a_script_that_may_not_do_all_that_it_does_is_unavailable(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        world = RedisWorld(clients)
        await put(world)
        await execute(clients.commands, "ACL", "SETUSER", "default", "-xadd", "-xreadgroup")
        with pytest.raises(LogUnavailable):
            await world.log.append([started(new_document())])
        with pytest.raises(LogUnavailable):
            await world.inbox.take([INTERACTIVE], consumer="a", count=1)


@pytest.mark.parametrize("transaction", [True, False])
async def test_what_refuses_a_command_of_a_pipeline_is_told_as_it_is_of_one_alone(
    own_redis: RedisProcess, transaction: bool
) -> None:
    """redis-py puts the command in front of what the server says."""
    async with make_clients(own_redis.url) as clients:

        async def refused() -> None:
            with at_the_border():
                async with clients.commands.pipeline(transaction=transaction) as pipeline:
                    pipeline.hset("a", "field", "a secret's")
                    pipeline.hget("a", "field")
                    await pipeline.execute()

        await execute(clients.commands, "SET", "a", "foreign")
        with pytest.raises(FormatMismatch, match="WRONGTYPE") as mismatch:
            await refused()
        await execute(clients.commands, "CONFIG", "SET", "min-replicas-to-write", 1)
        with pytest.raises(NotReplicated, match="Not enough good replicas to write") as alone:
            await refused()
        assert "secret" not in f"{mismatch.value} {alone.value}"


async def test_reads_that_wait_while_their_primary_becomes_a_replica_meet_an_outage(own_redis: RedisProcess) -> None:
    """Sentinels tell a primary that comes back to follow the new one; who waits there must not end for it."""
    async with make_clients(own_redis.url) as clients:
        world = RedisWorld(clients)
        reads = StreamReads(clients.blocking)
        waits: list[Awaitable[object]] = [
            world.log.read(0, wait_ms=20_000),
            reads.read({world.keys.changes(0): "0"}, count=1, block_ms=2_000),
            world.inbox.take([INTERACTIVE], consumer="a", count=1, wait_ms=20_000),
        ]
        ends = asyncio.gather(*waits, return_exceptions=True)

        async def all_wait() -> bool:
            told = await execute(clients.commands, "INFO", "clients")
            return bool(told["blocked_clients"] == len(waits))

        await wait_for(all_wait, "all of them wait")
        await execute(clients.commands, "REPLICAOF", "127.0.0.1", 1)
        assert [type(one) for one in await ends] == [LogUnavailable] * len(waits)


async def test_an_append_that_took_effect_is_not_called_refused_when_its_repetition_finds_the_server_full(
    own_redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_clients, "COMMAND_TIMEOUT_S", 0.5)
    document = new_document()
    with TcpProxy(own_redis.url) as proxy:
        async with make_clients(proxy.url) as clients, make_clients(own_redis.url) as direct:
            world = RedisWorld(clients)
            await world.log.append([started(new_document())])
            proxy.become(Weather(lose_every=1, loss=Loss.SILENCE, of=b"EVALSHA"))
            appending = asyncio.create_task(world.log.append([started(document)]))
            await wait_until(lambda: proxy.lost == 1, "the append has reached the server")
            proxy.become()
            await execute(direct.commands, "CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(LogUnavailable):
                await appending
            assert len(await RedisWorld(direct).log.history(document)) == 1


async def test_pointers_that_are_none_are_told_of_and_taken_out(
    world: RedisWorld, redis_clients: Clients, log_lines: io.StringIO
) -> None:
    name = world.keys.inbox(0, INTERACTIVE.step, INTERACTIVE.lane)
    await execute(redis_clients.commands, "XADD", name, "*", "p", "no pointer")
    (document,) = await put(world)
    (taken,) = await world.inbox.take([INTERACTIVE], consumer="a", count=9)
    assert taken.stream_id == document
    assert (await world.inbox.depth(INTERACTIVE)).pending == 1
    assert "pointer_unreadable" in log_lines.getvalue()


async def test_a_sweep_that_finds_nothing_but_damaged_pointers_goes_on_waiting(
    world: RedisWorld, redis_clients: Clients
) -> None:
    name = world.keys.inbox(0, INTERACTIVE.step, INTERACTIVE.lane)
    await execute(redis_clients.commands, "XADD", name, "*", "p", "no pointer")
    taking = asyncio.create_task(world.inbox.take([INTERACTIVE], consumer="a", count=9, wait_ms=5_000))

    async def is_taken_out() -> bool:
        return int(await execute(redis_clients.commands, "XLEN", name)) == 0

    await wait_for(is_taken_out, "the damaged pointer is taken out")
    (document,) = await put(world)
    assert [one.stream_id for one in await taking] == [document]
