"""`rediss://`: what the server says of itself is checked. The embedded server knows no TLS, so a proxy ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events.errors import LogUnavailable
from events.redis_clients import make_clients
from events.redis_setup import open_installation
from tests.servers.certificates import serving
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)


async def test_a_server_whose_certificate_is_known_is_spoken_to(redis_server: RedisProcess, tmp_path: Path) -> None:
    async with (
        _tls(redis_server, tmp_path, "127.0.0.1") as port,
        make_clients(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'certificate.pem'}") as clients,
    ):
        keys = await open_installation(clients.commands, partitions=None)
    assert keys.partitions >= 1


async def test_a_server_that_nobody_vouches_for_is_refused(redis_server: RedisProcess, tmp_path: Path) -> None:
    async with _tls(redis_server, tmp_path, "127.0.0.1") as port, make_clients(f"rediss://127.0.0.1:{port}") as clients:
        with pytest.raises(LogUnavailable, match="certificate verify failed"):
            await open_installation(clients.commands, partitions=None)


async def test_a_certificate_of_another_host_is_refused(redis_server: RedisProcess, tmp_path: Path) -> None:
    async with (
        _tls(redis_server, tmp_path, "127.0.0.9") as port,
        make_clients(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'certificate.pem'}") as clients,
    ):
        with pytest.raises(LogUnavailable, match=r"certificate is not valid for '127\.0\.0\.1'"):
            await open_installation(clients.commands, partitions=None)


@asynccontextmanager
async def _tls(server: RedisProcess, directory: Path, address: str) -> AsyncIterator[int]:
    """The port of a proxy to the server, with a certificate for the address."""
    context = serving(directory, address)
    path = server.url.removeprefix("unix://")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(path)
        with contextlib.suppress(OSError):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    finally:
        target.close()
