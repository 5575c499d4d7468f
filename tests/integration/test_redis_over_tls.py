"""`rediss://`: what the server says of itself is checked. The embedded server knows no TLS, so a proxy ends it."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from events.errors import LogUnavailable
from events.redis_clients import make_clients
from events.redis_setup import open_installation
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
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mill")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "certificate.pem").write_bytes(pem)
    (directory / "both.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "both.pem")
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
