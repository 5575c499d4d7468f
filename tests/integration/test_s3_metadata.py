"""What objects carry besides their bytes: on a real server, on one that keeps none and on one that takes none."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from blobs.s3 import S3BlobStore
from blobs.s3_client import make_client
from blobs.s3_metadata import FIELD, carried, carried_by
from blobs.s3_settings import S3Settings
from blobs.store import METADATA_BYTES_MAX
from tests.servers.ports import free_port
from tests.servers.s3_gateway import S3Server
from tests.servers.s3_proxy import Fault, FaultyProxy

pytest_plugins = ("tests.servers.s3",)


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(s3_server.endpoint_url, lambda _: None) as proxy:
        yield proxy


@pytest.fixture
def settings(s3_server: S3Server, proxy: FaultyProxy) -> S3Settings:
    return S3Settings(
        bucket=s3_server.bucket,
        endpoint_url=proxy.endpoint_url,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        prefix=f"metadata/{secrets.token_hex(8)}",
        attempts_max=1,
    )


@pytest.fixture
async def store(settings: S3Settings) -> AsyncIterator[S3BlobStore]:
    store = S3BlobStore(settings)
    yield store
    await store.close()


async def test_the_server_is_asked_once_and_nothing_is_left_of_it(store: S3BlobStore, proxy: FaultyProxy) -> None:
    for _ in range(2):
        assert await store.writer("a").carries(METADATA_BYTES_MAX)
        assert not await store.writer("a").carries(METADATA_BYTES_MAX + 1)
    assert [request.split()[0] for request in proxy.requests] == ["PUT", "HEAD", "DELETE"]
    assert [info.key async for info in store.list("")] == []


async def test_where_nothing_may_be_carried_nobody_is_asked(settings: S3Settings, proxy: FaultyProxy) -> None:
    store = S3BlobStore(msgspec.structs.replace(settings, metadata_bytes_max=0))
    assert not await store.writer("a").carries(1)
    assert proxy.requests == []
    await store.close()


@pytest.mark.parametrize("content", [b"small", bytes(2 * 1024 * 1024)], ids=["ours", "the SDK's"])
async def test_an_object_and_what_it_carries_are_one_put(
    store: S3BlobStore, settings: S3Settings, proxy: FaultyProxy, content: bytes
) -> None:
    async with store.writer("one") as writer:
        await writer.write(content)
        assert await writer.carries(10)
        proxy.requests.clear()
        ref = await writer.commit(b"said of it")
    assert [request.split()[0] for request in proxy.requests] == ["PUT"]
    assert (await store.get("one"), await store.metadata("one")) == (content, b"said of it")
    async with make_client(settings) as client:
        head = await client.head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/one")
    told = {name.lower(): value for name, value in head["Metadata"].items()}
    assert told == {"sha256": ref.sha256, **carried(b"said of it")}


async def test_a_server_that_is_away_is_asked_again(store: S3BlobStore, proxy: FaultyProxy) -> None:
    proxy.plan = lambda request: Fault.SLOW_DOWN if request.method == "HEAD" else None
    assert not await store.writer("a").carries(1)
    proxy.plan = lambda _: None
    assert await store.writer("a").carries(1)


async def test_all_who_wait_for_a_silent_server_are_answered_at_once_and_in_time(
    settings: S3Settings, proxy: FaultyProxy
) -> None:
    """An upload has the time of two calls, and the question may take one of them, however many uploads have it."""
    proxy.plan = lambda _: Fault.SILENCE
    store = S3BlobStore(msgspec.structs.replace(settings, call_timeout_s=1.5))
    async with asyncio.timeout(1.5):
        answers = await asyncio.gather(*(store.writer(f"a{number}").carries(1) for number in range(50)))
    assert answers == [False] * 50
    assert len(proxy.requests) == 1
    await store.close()


@pytest.mark.parametrize(
    ("status", "said"), [(200, "s3_metadata_dropped"), (400, "s3_metadata_refused")], ids=["drops", "refuses"]
)
async def test_a_server_that_keeps_no_metadata_gets_no_sidecars_in_them(
    settings: S3Settings, status: int, said: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status if request.method == "PUT" else 200)

    application, port = web.Application(), free_port()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    store = S3BlobStore(msgspec.structs.replace(settings, endpoint_url=f"http://127.0.0.1:{port}"))
    with capture_logs() as logs:
        assert [await store.writer("a").carries(1) for _ in range(2)] == [False, False]
    assert [entry["event"] for entry in logs] == [said]
    await store.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"sha256": "00"}, None),
        ({FIELD: "c2FpZA=="}, b"said"),
        ({"Millstream-Sidecar": "c2FpZA=="}, b"said"),
        ({FIELD: "not ours"}, b"not ours"),
    ],
    ids=["none", "others", "ours", "another case", "foreign"],
)
def test_what_a_server_says_of_an_object_is_read_in_any_case(fields: dict[str, str], expected: bytes | None) -> None:
    assert carried_by({"Metadata": fields}) == expected
