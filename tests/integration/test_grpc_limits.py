"""What a client of gRPC may not do, and what it is told: pings, sizes, calls, polls, the age of a connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from events.redis_clients import Clients
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.v1.tasks_pb2_grpc import TaskServiceStub
from tests.integration.grpc_facts import refusal
from tests.integration.grpc_world import GUARD_S, code_of, shown
from tests.integration.keyed_app import keyed_apps
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

MESSAGE_BYTES_MAX = 65_536
PING_S_MIN = 2
"""The client of grpcio pings once a second at most, however often it is told to."""
POLL = pb.PollStepsRequest(steps=[pb.STEP_PARSE], worker="limited")


class Served:
    """One API with gRPC, and an admin's key."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self.metadata = shown(key)

    @asynccontextmanager
    async def client(self, **options: int) -> AsyncIterator[Any]:
        """A stub over a connection of its own; `options` are those of the channel, underlined."""
        named = [(f"grpc.{name.replace('__', '.')}", value) for name, value in options.items()]
        own = ("grpc.use_local_subchannel_pool", 1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=[own, *named]) as channel:
            yield TaskServiceStub(channel)  # type: ignore[no-untyped-call]  # generated

    async def answers(self, client: Any) -> bool:
        """Whether a call gets an answer, if only that there is no such task."""
        call = client.GetTask(pb.GetTaskRequest(task_id="none"), metadata=self.metadata, timeout=GUARD_S)
        return (await refusal(call))[0] is grpc.StatusCode.NOT_FOUND


@asynccontextmanager
async def served(redis: RedisProcess, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    async with keyed_apps(redis.url, folder, grpc_port=0, **settings) as (app,):
        yield Served(app.app.state.grpc_port, await app.make_key())


async def test_whoever_pings_too_often_loses_its_connection_and_whoever_keeps_to_it_does_not(
    redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        served(redis_server, tmp_path, grpc_ping_s_min=PING_S_MIN) as api,
        api.client(keepalive_time_ms=PING_S_MIN * 1_100, http2__max_pings_without_data=0) as patient,
        api.client(keepalive_time_ms=100, http2__max_pings_without_data=0) as pinging,
    ):
        polls = [one.PollSteps(POLL, metadata=api.metadata) for one in (patient, pinging)]
        kept, lost = [asyncio.create_task(anext(aiter(call))) for call in polls]
        with pytest.raises(AioRpcError) as raised:
            await asyncio.wait_for(lost, GUARD_S)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "too_many_pings" in str(raised.value.debug_error_string()) or "too_many_pings" in capfd.readouterr().err
        # The service forgives two pings that come too early: the patient one sends more than that.
        await asyncio.wait({kept}, timeout=4 * PING_S_MIN)
        assert not kept.done(), kept
        kept.cancel()


async def test_a_connection_ends_with_its_age_and_the_client_makes_another(
    redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path
) -> None:
    limits = {"grpc_connection_s_max": 1, "drain_s_max": 1}
    async with served(redis_server, tmp_path, **limits) as api, api.client() as client:
        call = client.PollSteps(POLL, metadata=api.metadata)
        with pytest.raises(AioRpcError) as raised:
            await asyncio.wait_for(anext(aiter(call)), GUARD_S)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await api.answers(client)


async def test_what_is_too_large_is_refused_before_it_is_looked_at(
    redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path
) -> None:
    async with (
        served(redis_server, tmp_path, grpc_message_bytes_max=MESSAGE_BYTES_MAX) as api,
        api.client() as client,
    ):
        for size, expected in (
            (MESSAGE_BYTES_MAX - 100, (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost")),
            (MESSAGE_BYTES_MAX + 100, (grpc.StatusCode.RESOURCE_EXHAUSTED, "")),
        ):
            result = pb.ParsedText(pages=[pb.PageText(text="a" * size)])
            request = pb.CompleteStepRequest(lease="none", parsed=result)
            assert await refusal(client.CompleteStep(request, metadata=api.metadata, timeout=GUARD_S)) == expected
        large = Metadata(*api.metadata, ("x-request-id", "r" * 100_000))
        call = client.GetTask(pb.GetTaskRequest(task_id="none"), metadata=large, timeout=GUARD_S)
        assert (await refusal(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await api.answers(client)


async def test_polls_are_counted_and_one_that_ends_makes_room(
    redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path
) -> None:
    async with served(redis_server, tmp_path, grpc_workers_max=2) as api, api.client() as client:
        polls = [client.PollSteps(POLL, metadata=api.metadata) for _ in range(2)]
        waiting = [asyncio.create_task(anext(aiter(call))) for call in polls]

        async def one_too_many() -> tuple[grpc.StatusCode, str]:
            call = client.PollSteps(POLL, metadata=api.metadata, timeout=1)
            with pytest.raises(AioRpcError) as raised:
                await anext(aiter(call))
            return code_of(raised.value)

        for call in polls:
            await asyncio.wait_for(call.initial_metadata(), GUARD_S)
        assert await one_too_many() == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_workers")
        polls[0].cancel()
        # A poll that is let in waits until its deadline.
        async with asyncio.timeout(GUARD_S):
            while await one_too_many() != (grpc.StatusCode.DEADLINE_EXCEEDED, ""):
                pass
        for one in waiting:
            one.cancel()


async def test_calls_beyond_the_limit_are_refused_and_others_go_on(
    redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path
) -> None:
    async with served(redis_server, tmp_path, grpc_calls_max=2) as api, api.client() as client:
        polls = [client.PollSteps(POLL, metadata=api.metadata) for _ in range(2)]
        waiting = [asyncio.create_task(anext(aiter(call))) for call in polls]
        for call in polls:
            await asyncio.wait_for(call.initial_metadata(), GUARD_S)
        async with api.client() as other:
            call = other.GetTask(pb.GetTaskRequest(task_id="none"), metadata=api.metadata, timeout=GUARD_S)
            assert (await refusal(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
