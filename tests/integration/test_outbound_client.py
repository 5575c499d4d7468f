"""The client of strangers' addresses against servers that do what strangers do: redirect, lie, drip, never end."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from outbound.client import OutboundClient
from outbound.errors import ADDRESS_DENIED, FETCH_FAILED, FETCH_LIMIT, SCHEME_NOT_ALLOWED, OutboundError
from outbound.limits import POST_LIMITS, Limits
from tests.outbound_world import guard_over
from tests.servers.scripted_http import Script, ScriptedServer, answer_of, dripping, scripted_server, silent

NAMES = {"mill.example": ["127.0.0.1"], "denied.example": ["10.0.0.1"]}
LIMITS = Limits(body_bytes_max=100_000, connect_s_max=1.0, silence_s_max=0.2, total_s_max=2.0, rate_grace_s=0.2)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as scripted:
        yield scripted


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[OutboundClient]:
    outbound = client_for(server)
    yield outbound
    await outbound.close()


def client_for(server: ScriptedServer, limits: Limits = LIMITS, tls: ssl.SSLContext | None = None) -> OutboundClient:
    """May call this server, under its address and its name, and nothing else that is near."""
    guard = guard_over(NAMES, allow=f"127.0.0.1:{server.port}")
    post_limits = msgspec.structs.replace(POST_LIMITS, total_s_max=1.0, silence_s_max=0.5)
    return OutboundClient(guard, limits=limits, post_limits=post_limits, tls=tls)


async def got(client: OutboundClient, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
    async with client.get(url, headers=headers) as answer:
        return answer.status, b"".join([piece async for piece in answer.body()]), str(answer.url)


async def refused(client: OutboundClient, url: str) -> OutboundError:
    with pytest.raises(OutboundError) as failed:
        await got(client, url)
    return failed.value


async def test_a_document_is_fetched_by_name_from_the_address_that_was_checked(
    client: OutboundClient, server: ScriptedServer
) -> None:
    server.answers["/a"] = answer_of(200, b"flour", content_type="text/plain")

    assert await got(client, server.url("/a?b=c", "mill.example")) == (
        200,
        b"flour",
        server.url("/a?b=c", "mill.example"),
    )

    headers = server.requests[0].headers
    assert headers["host"] == f"mill.example:{server.port}"
    assert headers["accept-encoding"] == "identity"
    assert headers.keys() == {"host", "accept-encoding", "accept", "user-agent"}


async def test_proxies_of_the_environment_are_not_asked(
    client: OutboundClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers["/"] = answer_of(200, b"flour")

    assert (await got(client_for(server), server.url()))[1] == b"flour"


async def test_a_redirect_is_followed_without_what_the_answer_wanted_kept(
    client: OutboundClient, server: ScriptedServer
) -> None:
    server.answers["/a"] = answer_of(302, location="/b", set_cookie="secret=1")
    server.answers["/b"] = answer_of(308, location=server.url("/c", "mill.example"))
    server.answers["/c"] = answer_of(200, b"flour")

    assert await got(client, server.url("/a")) == (200, b"flour", server.url("/c", "mill.example"))
    assert [request.headers.get("cookie") for request in server.requests] == [None] * 3


async def test_a_redirect_to_a_denied_address_is_refused_and_not_connected_to(
    client: OutboundClient, server: ScriptedServer
) -> None:
    async with scripted_server() as denied:
        for location in (denied.url("/"), denied.url("/", "localhost"), "http://denied.example/", "http://[::1]/"):
            server.answers["/a"] = answer_of(302, location=location)
            error = await refused(client, server.url("/a"))
            assert (error.code, error.is_permanent) == (ADDRESS_DENIED, True)
        assert denied.connections == 0


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1/", "data:text/plain,x"])
async def test_a_redirect_to_another_scheme_is_refused(
    client: OutboundClient, server: ScriptedServer, location: str
) -> None:
    server.answers["/a"] = answer_of(302, location=location)
    assert (await refused(client, server.url("/a"))).code == SCHEME_NOT_ALLOWED


async def test_redirects_end_after_five(client: OutboundClient, server: ScriptedServer) -> None:
    server.answers["/a"] = answer_of(302, location="/a")
    error = await refused(client, server.url("/a"))

    assert (error.code, error.is_permanent) == (FETCH_LIMIT, True)
    assert len(server.requests) == LIMITS.redirects_max + 1


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(10_000))
        await writer.drain()


async def silent_after_a_while(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nflour")
    await writer.drain()
    await asyncio.Event().wait()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: " + bytes(b"y" * 1_000) + b"\r\n")
        await writer.drain()


async def endless_continues(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()


BOMB = gzip.compress(bytes(10_000_000))
HOSTILE: Sequence[tuple[bytes | Script, str, bool]] = (
    (dripping(), FETCH_LIMIT, False),
    (endless, FETCH_LIMIT, True),
    (silent, FETCH_FAILED, False),
    (silent_after_a_while, FETCH_FAILED, False),
    (endless_headers, FETCH_FAILED, False),
    (endless_continues, FETCH_LIMIT, False),
    (answer_of(200, BOMB, content_encoding="gzip"), FETCH_LIMIT, True),
    (answer_of(200, b"x", content_encoding="br"), FETCH_FAILED, True),
    (answer_of(200, b"x", content_encoding="zstd"), FETCH_FAILED, True),
    (answer_of(200, b"x", content_length="10000000000"), FETCH_LIMIT, True),
    (answer_of(200, b"flour", content_length="10"), FETCH_FAILED, False),
    (answer_of(200, b"x" * 100_001), FETCH_LIMIT, True),
    (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n", FETCH_LIMIT, True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nflour\r\nzz\r\n", FETCH_FAILED, False),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy", FETCH_FAILED, False),
    (b"SSH-2.0-OpenSSH_9.6\r\n", FETCH_FAILED, False),
    (b"", FETCH_FAILED, False),
)


@pytest.mark.parametrize(("answer", "code", "is_permanent"), HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_answer_ends_soon_and_says_why(
    client: OutboundClient, server: ScriptedServer, answer: bytes | Script, code: str, is_permanent: bool
) -> None:
    server.answers["/"] = answer
    error = await refused(client, server.url())
    assert (error.code, error.is_permanent) == (code, is_permanent)


async def test_compressed_documents_are_taken_where_a_server_does_not_ask(
    client: OutboundClient, server: ScriptedServer
) -> None:
    server.answers["/"] = answer_of(200, gzip.compress(b"flour" * 1_000), content_encoding="gzip")
    assert (await got(client, server.url()))[1] == b"flour" * 1_000


async def test_nobody_listening_is_a_failure_that_may_pass(server: ScriptedServer) -> None:
    async with scripted_server() as gone:
        client = client_for(gone)
    error = await refused(client, gone.url())
    assert (error.code, error.is_permanent) == (FETCH_FAILED, False)
    await client.close()


async def test_a_webhook_is_posted_once_and_redirects_are_answers(
    client: OutboundClient, server: ScriptedServer
) -> None:
    server.answers["/hook"] = answer_of(307, b"elsewhere", location="/other", retry_after="7")

    posted = await client.post(server.url("/hook"), b'{"a":1}', headers={"Content-Type": "application/json"})

    assert (posted.status, posted.body, posted.retry_after) == (307, b"elsewhere", "7")
    assert [(one.method, one.target, one.body) for one in server.requests] == [("POST", "/hook", b'{"a":1}')]
    assert server.requests[0].headers["content-type"] == "application/json"


async def test_of_a_long_answer_to_a_webhook_the_start_is_kept(client: OutboundClient, server: ScriptedServer) -> None:
    for answer in (answer_of(500, b"x" * 200_000), endless):
        server.answers["/hook"] = answer
        posted = await client.post(server.url("/hook"), b"{}", headers={})
        assert len(posted.body) <= POST_LIMITS.body_bytes_max


@pytest.mark.parametrize("answer", [silent, dripping()])
async def test_a_receiver_of_webhooks_has_a_deadline(
    client: OutboundClient, server: ScriptedServer, answer: Script
) -> None:
    server.answers["/hook"] = answer
    with pytest.raises(OutboundError) as failed:
        await client.post(server.url("/hook"), b"{}", headers={})
    assert not failed.value.is_permanent


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)
    async with scripted_server(served) as server:
        server.answers["/"] = answer_of(200, b"flour")
        strict, knowing = client_for(server), client_for(server, tls=trusting)

        error = await refused(strict, server.url("/", "mill.example"))
        assert (error.code, error.is_permanent, server.requests) == (FETCH_FAILED, True, [])
        assert (await refused(knowing, server.url("/", "127.0.0.1"))).is_permanent, "the name is not the certificate's"
        assert (await got(knowing, server.url("/", "mill.example")))[1] == b"flour", "SNI and check by the name"
        server.answers["/"] = answer_of(302, location="http://mill.example/")
        assert (await refused(knowing, server.url("/", "mill.example"))).code == FETCH_FAILED


def self_signed(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=mill.example", "-addext", "subjectAltName=DNS:mill.example"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
