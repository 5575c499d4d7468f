"""The gate on Redis keeps the contract, and agrees with the one in memory call by call."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_clients import Clients, make_clients
from processors.memory_provider import MemoryProviderGate
from processors.provider import Go, Quota, Verdict
from processors.redis_provider import KEPT_MS, RedisProviderGate
from tests.contract.provider_gate_contract import NAME, GateOf, HandClock, ProviderGateContract
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

KEYS = Keys(1)


class TestRedisProviderGate(ProviderGateContract):
    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def gate_of(self, clock: HandClock, redis_clients: Clients) -> GateOf:
        return lambda quota: RedisProviderGate(redis_clients.commands, KEYS, quota, clock_us=clock)


CALLS = st.one_of(
    st.tuples(st.just("admit"), st.integers(1, 400)),
    st.tuples(st.just("report"), st.sampled_from(Verdict), st.none() | st.floats(0, 400)),
    st.tuples(st.just("pass"), st.integers(0, 3_000_000)),
)
LIMITS = st.sampled_from([0, 1, 7, 60, 1_000])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(Quota, LIMITS, LIMITS), st.lists(CALLS, max_size=40))
async def test_redis_and_memory_answer_alike(
    redis_clients: Clients, quota: Quota, calls: list[tuple[Any, ...]]
) -> None:
    clock = HandClock()
    await redis_clients.commands.flushall()
    redis = RedisProviderGate(redis_clients.commands, KEYS, quota, clock_us=clock)
    memory = MemoryProviderGate(quota, clock_us=clock)
    for call in calls:
        match call:
            case ("admit", tokens):
                assert await redis.admit(NAME, tokens=tokens) == await memory.admit(NAME, tokens=tokens)
            case ("report", verdict, retry_after_s):
                await redis.report(NAME, verdict, retry_after_s=retry_after_s)
                await memory.report(NAME, verdict, retry_after_s=retry_after_s)
            case ("pass", us):
                clock.now_us += us
            case unknown:
                raise AssertionError(unknown)


async def test_the_servers_clock_counts_and_the_state_is_forgotten_one_day(redis_clients: Clients) -> None:
    gate = RedisProviderGate(redis_clients.commands, KEYS, Quota(requests_per_minute=10))
    assert await gate.admit(NAME, tokens=1) == Go(is_clean=True)
    await gate.report(NAME, Verdict.REFUSED, retry_after_s=20)
    wait = await gate.admit(NAME, tokens=1)
    assert not isinstance(wait, Go)
    assert 10 < wait.seconds <= 20
    assert 0 < await redis_clients.commands.pttl(KEYS.provider(NAME)) <= KEPT_MS


async def test_the_key_shows_nothing_of_the_address(redis_clients: Clients) -> None:
    gate = RedisProviderGate(redis_clients.commands, KEYS, Quota())
    await gate.admit("https://user:hush@example.com/v1#m", tokens=1)
    (key,) = await redis_clients.commands.keys("*")
    assert b"hush" not in key
    assert b"example" not in key


async def test_a_server_that_is_gone_is_an_outage_of_the_log(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        gate = RedisProviderGate(clients.commands, KEYS, Quota())
        await gate.admit(NAME, tokens=1)
        own_redis.stop()
        with pytest.raises(LogUnavailable):
            await gate.admit(NAME, tokens=1)
