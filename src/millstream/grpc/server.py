"""The gRPC server: limits, health, reflection, and an end that lets calls under way finish."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_urlsafe
from typing import Final

import grpc
import structlog
from grpc.aio import Server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from starlette.types import ASGIApp

from millstream.admission.admit import Admission
from millstream.bootstrap import provider_gate, worker_settings
from millstream.errors import ExitCode, Stop
from millstream.grpc.servicer import TaskService
from millstream.grpc.task_calls import TaskCalls
from millstream.grpc.v1 import tasks_pb2
from millstream.grpc.v1.tasks_pb2_grpc import add_TaskServiceServicer_to_server
from millstream.grpc.worker_calls import WorkerCalls
from millstream.grpc.workers import Workers
from millstream.parser_pool import sandbox_settings
from millstream.process_name import process_name
from millstream.settings import Settings
from millstream.stores import Stores, clock_us
from processors.lease_records import token_for
from processors.lease_takeover import LeaseTakeover
from processors.leased_parts import LeasedParts
from processors.leases import LeaseDesk
from processors.observing import AttemptObserver
from processors.redis_lease_records import RedisLeaseRecords

KEEPALIVE_ANSWER_S: Final = 20
"""A peer that does not answer a ping for so long is gone."""

SERVICE: Final = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name

TOKEN_BYTES: Final = 24
"""Of a lease; 192 random bits are not guessed."""

_log = structlog.get_logger()


@asynccontextmanager
async def serving_grpc(
    app: ASGIApp, stores: Stores, admission: Admission, observer: AttemptObserver, stop: asyncio.Event
) -> AsyncIterator[int]:
    """On the port that it yields, until the body ends. From `stop` on health says so and new calls are refused; those
    under way have the drain time. Raises Stop where the port is in use."""
    settings, workers = stores.settings, _workers(stores, observer)
    server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=settings.grpc_calls_max)
    service = TaskService(TaskCalls(app), WorkerCalls(admission, workers), stores.ids.unique)
    add_TaskServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name), server)
    port = _bound(server, settings)
    await server.start()
    for name in ("", SERVICE):
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
    _log.info("grpc_listening", host=settings.host, port=port)
    draining = asyncio.create_task(_drain(server, health, workers, stop, settings.drain_s_max))
    try:
        yield port
    finally:
        stop.set()
        await draining


async def _drain(
    server: Server, health: HealthServicer, workers: Workers, stop: asyncio.Event, within_s: float
) -> None:
    """Workers first, while their answers are still taken: a server that stops refuses every new call."""
    await stop.wait()
    await health.enter_graceful_shutdown()
    ends_s = asyncio.get_running_loop().time() + within_s
    await workers.drain(within_s / 2)
    await server.stop(max(0.0, ends_s - asyncio.get_running_loop().time()))


def _workers(stores: Stores, observer: AttemptObserver) -> Workers:
    settings = stores.settings
    parts = LeasedParts(
        log=stores.log,
        inbox=stores.inbox,
        blobs=stores.blobs,
        index=stores.index,
        embedder_for=stores.embeddings.by,
        gate=provider_gate(stores),
        limits=sandbox_settings(settings).limits,
        clock_us=clock_us,
        ids=stores.ids,
        rng=random.Random(),  # noqa: S311  spreads retries, guards nothing
        settings=worker_settings(settings),
        observer=observer,
    )
    records, process, lease_s = (
        RedisLeaseRecords(stores.clients.commands, stores.keys),
        process_name("grpc"),
        settings.grpc_lease_s,
    )
    desk = LeaseDesk(records, process=process, lease_s=lease_s, new_token=_new_token, random=parts.rng.random)
    return Workers(
        parts,
        desk,
        LeaseTakeover(records, parts, process=process, lease_s=lease_s),
        name_of=process_name,
        workers_max=settings.grpc_workers_max,
        slots_max=settings.grpc_slots_max,
    )


def _new_token(partition: int) -> str:
    return token_for(partition, token_urlsafe(TOKEN_BYTES))


def _bound(server: Server, settings: Settings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        return server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise Stop(
            f"cannot listen for gRPC on {host}:{settings.grpc_port}",
            hint="stop what listens there, or choose another port with MILLSTREAM_GRPC_PORT (0 takes a free one)",
            exit_code=ExitCode.UNREACHABLE,
        ) from error


def _options(settings: Settings) -> list[tuple[str, int]]:
    aged = [
        ("grpc.max_connection_age_ms", settings.grpc_connection_s_max * 1_000),
        ("grpc.max_connection_age_grace_ms", round(settings.drain_s_max * 1_000)),
    ]
    return [
        *(aged if settings.grpc_connection_s_max else []),
        # Two services on one port would each get some of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.grpc_message_bytes_max),
        ("grpc.max_send_message_length", settings.grpc_message_bytes_max),
        ("grpc.max_metadata_size", settings.header_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.header_bytes_max),
        ("grpc.keepalive_time_ms", settings.grpc_keepalive_s * 1_000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_S * 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", settings.grpc_ping_s_min * 1_000),
        ("grpc.max_concurrent_streams", settings.grpc_calls_max),
    ]
