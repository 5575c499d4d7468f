"""The gRPC server: limits, health, reflection, and an end that lets calls under way finish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
import structlog
from grpc.aio import Server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from starlette.types import ASGIApp

from millstream.errors import ExitCode, Stop
from millstream.grpc.servicer import TaskService
from millstream.grpc.task_calls import TaskCalls
from millstream.grpc.v1 import tasks_pb2
from millstream.grpc.v1.tasks_pb2_grpc import add_TaskServiceServicer_to_server
from millstream.settings import Settings

KEEPALIVE_ANSWER_S: Final = 20
"""A peer that does not answer a ping for so long is gone."""

SERVICE: Final = tasks_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name

_log = structlog.get_logger()


@asynccontextmanager
async def serving_grpc(app: ASGIApp, settings: Settings, stop: asyncio.Event) -> AsyncIterator[int]:
    """On the port that it yields, until the body ends. From `stop` on health says so and new calls are refused; those
    under way have the drain time. Raises Stop where the port is in use."""
    server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=settings.grpc_calls_max)
    add_TaskServiceServicer_to_server(TaskService(TaskCalls(app)), server)  # type: ignore[no-untyped-call]  # generated
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name), server)
    port = _bound(server, settings)
    await server.start()
    for service in ("", SERVICE):
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    _log.info("grpc_listening", host=settings.host, port=port)
    draining = asyncio.create_task(_drain(server, health, settings, stop))
    try:
        yield port
    finally:
        stop.set()
        await draining


async def _drain(server: Server, health: HealthServicer, settings: Settings, stop: asyncio.Event) -> None:
    await stop.wait()
    await health.enter_graceful_shutdown()
    await server.stop(settings.drain_s_max)


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
    return [
        # Two services on one port would each get some of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.grpc_message_bytes_max),
        ("grpc.max_send_message_length", settings.grpc_message_bytes_max),
        ("grpc.max_metadata_size", settings.header_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.header_bytes_max),
        ("grpc.keepalive_time_ms", settings.grpc_keepalive_s * 1_000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_S * 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", settings.grpc_ping_s_min * 1_000),
        ("grpc.max_concurrent_streams", settings.grpc_calls_max),
    ]
