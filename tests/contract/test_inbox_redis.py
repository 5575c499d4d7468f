"""The inboxes on Redis keep the contract, and what only a real server can do."""

import asyncio
from typing import Any

import pytest

from events.errors import LogError, LogUnavailable
from events.inbox import InboxDepth
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_inbox import RedisInbox
from events.redis_log import GROUP
from events.steps import Step
from tests.contract.inbox_contract import BOTH, HOUR_MS, INTERACTIVE, InboxContract, put, start, streams
from tests.contract.log_world import PARTITIONS, LogWorld, RedisWorld, inbox_key
from tests.servers.redis_process import RedisProcess
from tests.servers.tcp_proxy import TcpProxy, Weather
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)


class TestRedisInbox(InboxContract):
    @pytest.fixture
    def world(self, redis_clients: Clients) -> LogWorld:
        return RedisWorld(redis_clients)


@pytest.fixture
def redis_world(redis_clients: Clients) -> RedisWorld:
    return RedisWorld(redis_clients)


def name(world: RedisWorld, step: Step = Step.PARSE) -> str:
    key = inbox_key(step)
    return world.keys.inbox(key.partition, key.step, key.lane)


async def test_a_consumer_that_never_beat_is_dead_when_it_has_not_asked_for_long(redis_world: RedisWorld) -> None:
    await put(redis_world)
    held = await redis_world.inbox.take(BOTH, consumer="a", count=1)
    async with asyncio.timeout(10):
        while not (found := await redis_world.inbox.claim_from_dead(BOTH, consumer="b", count=1, silent_ms_min=5)):
            continue
    assert found == held


async def test_a_dead_consumer_without_deliveries_is_taken_out_and_one_with_deliveries_is_not(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    await put(redis_world, count=3)
    held = await redis_world.inbox.take(BOTH, consumer="a", count=3)
    await redis_world.inbox.leave("a")
    await redis_world.inbox.claim_from_dead(BOTH, consumer="b", count=2, silent_ms_min=HOUR_MS)
    assert await _consumers(redis_world, redis_clients) == {"a": 1, "b": 2}
    await redis_world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=HOUR_MS)
    assert await _consumers(redis_world, redis_clients) == {"b": 3}
    assert await redis_world.inbox.mine(BOTH, consumer="b", count=9) == held


async def test_an_entry_that_was_deleted_while_it_was_pending_is_dropped(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    await put(redis_world, count=3)
    first, second, third = await redis_world.inbox.take(BOTH, consumer="a", count=3)
    await redis_clients.commands.xdel(name(redis_world), first.entry_id, second.entry_id)
    assert await redis_world.inbox.mine(BOTH, consumer="a", count=1) == [third]
    assert await redis_world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=1)


async def test_an_entry_that_is_no_pointer_is_acknowledged_and_the_others_are_handed_out(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    await redis_clients.commands.xadd(name(redis_world), {"p": "junk"})
    documents = await put(redis_world)
    found = await redis_world.inbox.take(BOTH, consumer="a", count=9)
    assert [delivery.stream_id for delivery in found] == documents
    assert await redis_world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=1)


async def test_histories_that_are_long_or_no_longer_whole_are_left_to_the_log(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    trimmed, foreign, long, short = await put(redis_world, count=4)
    await start(redis_world, long, 16)
    await start(redis_world, short, 15)
    log, history = redis_world.keys.log(0), redis_world.keys.history(foreign)
    entry = await execute(redis_clients.commands, "XADD", log, "*", "a", "b")
    await execute(redis_clients.commands, "LSET", history, 0, entry)
    await execute(
        redis_clients.commands,
        "XDEL",
        log,
        *(await execute(redis_clients.commands, "LRANGE", redis_world.keys.history(trimmed), 0, -1)),
    )
    handed = await redis_world.inbox.take_with_histories(BOTH, consumer="a", count=9)
    assert [one.delivery.stream_id for one in handed] == [trimmed, foreign, long, short]
    assert [one.history for one in handed] == [None, None, None, await redis_world.log.history(short)]
    with pytest.raises(LogError):
        await redis_world.log.history(trimmed)


async def test_a_key_of_another_kind_in_place_of_a_history_holds_no_delivery_up(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    odd, sound = await put(redis_world, count=2)
    await redis_clients.commands.set(redis_world.keys.history(odd), "no list")
    handed = await redis_world.inbox.take_with_histories(BOTH, consumer="a", count=9)
    assert [(one.delivery.stream_id, one.history is None) for one in handed] == [(odd, True), (sound, False)]


async def test_what_one_take_reads_of_large_histories_is_bounded_though_it_brings_none_of_them(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    documents = await put(redis_world, count=60)
    large = "w" * 20_000
    for document in documents:
        await start(redis_world, document, 3, worker=large)
    await execute(redis_clients.commands, "CONFIG", "RESETSTAT")
    handed = await redis_world.inbox.take_with_histories(BOTH, consumer="a", count=99)
    assert [one.delivery.stream_id for one in handed] == documents
    assert {one.history is None for one in handed} == {True}
    told: Any = await redis_clients.commands.info("commandstats")
    assert told["cmdstat_xrange"]["calls"] <= 2 * (262_144 // 20_000 + 1)


async def test_what_one_take_brings_is_bounded(redis_world: RedisWorld) -> None:
    documents = [one for _ in range(30) for one in await put(redis_world, count=1)]
    for document in documents:
        await start(redis_world, document, 15)
    handed = await redis_world.inbox.take_with_histories(BOTH, consumer="a", count=99)
    assert [one.delivery.stream_id for one in handed] == documents
    assert [one.history is None for one in handed] == [False] * 25 + [True] * 5


async def test_an_acknowledgement_whose_reply_was_lost_is_not_repeated_by_itself(
    redis_world: RedisWorld, redis_server: RedisProcess
) -> None:
    """By then another server may have taken over, and its log may ask for the step again: who wants it looks first."""
    await put(redis_world)
    (held,) = await redis_world.inbox.take(BOTH, consumer="a", count=1)
    with TcpProxy(redis_server.url) as proxy:
        async with make_clients(proxy.url) as clients:
            inbox = RedisInbox(clients.commands, clients.blocking, redis_world.keys)
            await inbox.acknowledge(held)  # of nothing that is there any more the second time
            proxy.become(Weather(lose_every=1, of=b"EVALSHA"))
            with pytest.raises(LogUnavailable):
                await inbox.acknowledge(held)
            assert proxy.lost == 1


async def test_a_group_that_vanished_is_made_again_from_the_beginning(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    documents = await put(redis_world, count=2)
    await redis_world.inbox.take(BOTH, consumer="a", count=1)
    await redis_clients.commands.xgroup_destroy(name(redis_world), GROUP)
    assert await redis_world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=2, pending=0)
    found = await redis_world.inbox.take(BOTH, consumer="a", count=9)
    assert [delivery.stream_id for delivery in found] == documents


async def test_who_emptied_its_inboxes_asks_none_of_them_again_until_something_comes(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    inbox = redis_world.inbox
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=10) == []
    sweeps = await _reads_of_groups(redis_clients)
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=10) == []
    assert await _reads_of_groups(redis_clients) == sweeps + 1  # the wait itself, for all of them
    for _ in range(2):  # also behind what it has just taken
        documents = await put(redis_world, count=2)
        sweeps = await _reads_of_groups(redis_clients)
        found = await inbox.take(BOTH, consumer="a", count=9, wait_ms=10_000)
        assert [one.stream_id for one in found] == documents
    assert await _reads_of_groups(redis_clients) == sweeps + 2  # the wait, and the inbox that had something
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=0) == []
    assert await _reads_of_groups(redis_clients) == sweeps + 2 + len(BOTH)


async def test_who_took_as_much_as_it_wanted_sweeps_again(redis_world: RedisWorld) -> None:
    inbox = redis_world.inbox
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=10) == []
    documents = await put(redis_world, count=3)
    found = [await inbox.take(BOTH, consumer="a", count=2, wait_ms=10_000) for _ in range(2)]
    assert [one.stream_id for some in found for one in some] == documents


async def test_a_group_that_vanished_while_its_inbox_was_waited_at_is_missed_for_no_longer_than_a_sweep(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    inbox = RedisInbox(redis_clients.commands, redis_clients.blocking, redis_world.keys, sweep_again_s=0.0)
    documents = await put(redis_world)
    assert [one.stream_id for one in await inbox.take(BOTH, consumer="a", count=9)] == documents
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=10) == []
    await redis_clients.commands.xgroup_destroy(name(redis_world), GROUP)
    found = await inbox.take(BOTH, consumer="a", count=9, wait_ms=10)
    assert [one.stream_id for one in found] == documents


async def test_what_came_into_several_inboxes_before_the_wait_is_handed_out_as_far_as_it_is_asked_for(
    redis_world: RedisWorld,
) -> None:
    """A wait reads each of them; nobody is handed more than fits into its slots, others are handed the rest."""
    inbox = redis_world.inbox
    keys = [inbox_key(Step.PARSE, partition=partition) for partition in range(PARTITIONS)]
    assert await inbox.take(keys, consumer="a", count=9, wait_ms=10) == []
    documents = [document for key in keys for document in await put(redis_world, key, count=3)]
    first = await inbox.take(keys, consumer="a", count=2, wait_ms=10_000)
    assert streams(first) == documents[:2]
    assert await inbox.mine(keys, consumer="a", count=99) == first
    rest = await inbox.take(keys, consumer="b", count=99)
    assert sorted(streams(rest)) == sorted(documents[2:])


async def test_what_lies_before_the_place_that_was_waited_behind_is_handed_out_and_reads_its_own_history(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    """As a server leaves it that took over with an earlier clock."""
    inbox = redis_world.inbox
    await put(redis_world)
    (taken,) = await inbox.take(BOTH, consumer="a", count=9)
    assert await inbox.take(BOTH, consumer="a", count=9, wait_ms=10) == []
    ((_, fields),) = await execute(redis_clients.commands, "XRANGE", name(redis_world), "-", "+")
    await redis_clients.commands.delete(name(redis_world))
    await execute(redis_clients.commands, "XADD", name(redis_world), "1-1", "p", fields[b"p"])
    await execute(redis_clients.commands, "XGROUP", "CREATE", name(redis_world), GROUP, "0")
    (handed,) = await inbox.take_with_histories(BOTH, consumer="a", count=9, wait_ms=10_000)
    assert (handed.delivery.stream_id, handed.delivery.entry_id) == (taken.stream_id, "1-1")
    assert handed.history is None


async def test_who_waits_at_inboxes_that_were_all_lost_waits_on(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    waiting = asyncio.create_task(redis_world.inbox.take(BOTH, consumer="a", count=9, wait_ms=30_000))

    async def waits() -> bool:
        return bool((await redis_clients.commands.info("clients"))["blocked_clients"])

    await wait_for(waits, "it waits")
    await redis_clients.commands.flushall()
    await wait_for(waits, "it waits again")
    documents = await put(redis_world)
    async with asyncio.timeout(10):
        assert streams(await waiting) == documents


async def test_a_timer_of_a_newer_program_stays_and_hinders_nobody(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    await redis_clients.commands.zadd(redis_world.keys.due(0), {b"\xc8" + bytes(74): 1})
    await put(redis_world, not_before_us=2_000)
    assert await redis_world.inbox.move_due(0) == 1
    assert await redis_clients.commands.zcard(redis_world.keys.due(0)) == 1


async def test_consumers_are_forgotten_a_day_after_their_last_heartbeat(
    redis_world: RedisWorld, redis_clients: Clients
) -> None:
    await redis_world.inbox.beat("old")
    await redis_world.pass_time(25 * HOUR_MS)
    await redis_world.inbox.beat("new")
    await redis_world.inbox.claim_from_dead(BOTH, consumer="new", count=1, silent_ms_min=HOUR_MS)
    assert await redis_clients.commands.zrange(redis_world.keys.consumers, 0, -1) == [b"new"]


async def _consumers(world: RedisWorld, clients: Clients) -> dict[str, int]:
    found = await execute(clients.commands, "XINFO", "CONSUMERS", name(world), GROUP)
    return {info[b"name"].decode(): info[b"pending"] for info in found}


async def _reads_of_groups(clients: Clients) -> int:
    found = (await clients.commands.info("commandstats")).get("cmdstat_xreadgroup")
    return 0 if found is None else int(found["calls"])
