"""The Redis of an installation: connected, checked, and every trouble with it told in a line that says what to do.

Light, because the supervisor checks before it starts anything: one line then, instead of one from every role again and
again.
"""

import contextlib
from typing import Final

import structlog

from blobs.store import BlobStore
from events.errors import FormatMismatch, LogError, LogFull, LogUnavailable, UnsafeConfiguration
from events.keys import Keys
from events.redis_clients import Clients, make_clients, shown_url
from events.redis_setup import allow_events_by_place, durability, open_installation
from millstream.admission.door_check import check_door
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.blob_location import open_blobs
from millstream.errors import ExitCode, Stop
from millstream.marker import check_marker, put_marker
from millstream.settings import Settings

BLOCKING_CONNECTIONS: Final = 64
"""Reads of one process that wait, without workers elsewhere."""

LEASED_STEPS_MAX: Final = 2
"""parse and embed."""


async def check_installation(settings: Settings) -> None:
    """Whether roles started with these settings could begin their work. Raises Stop."""
    blobs = open_blobs(settings)
    try:
        async with connect(settings) as clients:
            keys = await open_marked(settings, clients, blobs)
            await check_door(settings, RedisKeyStore(clients.commands, keys), blobs)
    finally:
        await blobs.close()


async def tell_of_risks(clients: Clients) -> None:
    """A line for whoever reads the log of a role that starts; /readyz says the same later."""
    with contextlib.suppress(LogError):
        warning = (await durability(clients.commands)).warning
        if warning is not None:
            structlog.get_logger().warning("redis_may_lose_events", advice=warning)


def unreachable(settings: Settings, error: Exception) -> Stop:
    """What a person is told when Redis does not answer; a password in the URL is left out."""
    return Stop(
        f"no Redis at {shown_url(settings.redis_url)}: {error}",
        hint="start it, or correct MILLSTREAM_REDIS_URL; without that setting `millstream up` starts one",
        exit_code=ExitCode.UNREACHABLE,
    )


def connect(settings: Settings) -> Clients:
    """Clients of the Redis that the settings name; nothing is connected yet. Raises Stop."""
    if not settings.redis_url:
        raise Stop(
            "MILLSTREAM_REDIS_URL is not set",
            hint="`millstream up` starts a Redis of its own; a single role needs to be told where one is",
            exit_code=ExitCode.CONFIGURATION,
        )
    try:
        return make_clients(settings.redis_url, blocking_connections_max=_blocking_connections_max(settings))
    except ValueError as error:
        raise Stop(f"MILLSTREAM_REDIS_URL is not valid: {error}", exit_code=ExitCode.CONFIGURATION) from None


def _blocking_connections_max(settings: Settings) -> int:
    """Each step of each worker over gRPC waits for deliveries on a connection of its own."""
    elsewhere = 0 if settings.grpc_port < 0 else LEASED_STEPS_MAX * settings.grpc_workers_max
    return BLOCKING_CONNECTIONS + elsewhere


async def open_marked(settings: Settings, clients: Clients, blobs: BlobStore) -> Keys:
    """As `open_keys`, beside its own blobs alone: a Redis that lost everything is no new one. Raises Stop."""
    try:
        is_unmarked = await check_marker(clients, blobs)
        keys = await open_keys(settings, clients)
        if is_unmarked:
            await put_marker(clients, keys, blobs)
    except LogUnavailable as error:
        raise unreachable(settings, error) from None
    return keys


async def allow_new_form(settings: Settings, clients: Clients, keys: Keys) -> None:
    """Before the first event that older programs cannot read. Raises Stop."""
    try:
        await allow_events_by_place(clients.commands, keys)
    except (LogUnavailable, LogFull) as error:
        raise unreachable(settings, error) from None


async def open_keys(settings: Settings, clients: Clients) -> Keys:
    """Checks that nothing would be lost and that the stored format is ours. Raises Stop that says what to do."""
    try:
        return await open_installation(clients.commands, partitions=settings.partitions or None)
    except UnsafeConfiguration as error:
        raise Stop(str(error), exit_code=ExitCode.CONFIGURATION) from None
    except FormatMismatch as error:
        raise Stop(
            str(error),
            hint="start the version of millstream that wrote it, or choose another data directory or Redis",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    except (LogUnavailable, LogFull) as error:
        raise unreachable(settings, error) from None
