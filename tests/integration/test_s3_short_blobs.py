"""Short blobs go past the SDK once it has shown the way, and back to it when anything is wrong."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from blobs.errors import BlobStoreUnavailable
from blobs.s3 import S3BlobStore
from blobs.s3_client import make_client
from blobs.s3_put import PLAIN_BYTES_MAX
from blobs.s3_settings import S3Settings
from tests.servers.s3_gateway import S3Server
from tests.servers.s3_proxy import Fault, FaultyProxy

pytest_plugins = ("tests.servers.s3",)


def is_of_the_sdk(request: web.Request) -> bool:
    return "botocore" in request.headers["User-Agent"].lower()


class Puts:
    """The PUTs that came; those that went past the SDK can be made to fail."""

    def __init__(self, fault: Fault | None = None) -> None:
        self._fault = fault
        self.by_sdk: list[bool] = []

    def plan(self, request: web.Request) -> Fault | None:
        if request.method != "PUT":
            return None
        self.by_sdk.append(is_of_the_sdk(request))
        return None if self.by_sdk[-1] else self._fault


@pytest.fixture
def settings(s3_server: S3Server) -> S3Settings:
    return S3Settings(
        bucket=s3_server.bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        prefix=f"short/{secrets.token_hex(8)}",
        attempts_max=1,
    )


@asynccontextmanager
async def store_behind(settings: S3Settings, plan: Callable[[web.Request], Fault | None]) -> AsyncIterator[S3BlobStore]:
    async with FaultyProxy(settings.endpoint_url or "", plan) as proxy:
        store = S3BlobStore(msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url))
        try:
            yield store
        finally:
            await store.close()


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, PLAIN_BYTES_MAX + 1])
async def test_after_its_first_put_the_sdk_is_not_asked(settings: S3Settings, size_bytes: int) -> None:
    puts, data = Puts(), b"x" * size_bytes
    async with store_behind(settings, puts.plan) as store:
        await store.put("first", b"1")
        ref = await store.put("documents/doc_1/source@2.json", data)
        assert await store.get("documents/doc_1/source@2.json") == data
    assert puts.by_sdk == [True, False]
    async with make_client(settings) as client:
        found = await client.head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/documents/doc_1/source@2.json")
    assert found["Metadata"] == {"sha256": ref.sha256}


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.CUT_REQUEST, Fault.LOSE_ANSWER, Fault.MISSING, Fault.FULL])
async def test_what_is_not_stored_that_way_is_put_by_the_sdk(settings: S3Settings, fault: Fault) -> None:
    puts = Puts(fault)
    async with store_behind(settings, puts.plan) as store:
        await store.put("first", b"1")
        await store.put("second", b"2" * 100_000)
        assert await store.get("second") == b"2" * 100_000
    assert puts.by_sdk[:2] == [True, False]
    assert puts.by_sdk[-1]


async def test_a_server_that_fails_either_way_is_unavailable(settings: S3Settings) -> None:
    answers = iter([None, *[Fault.SLOW_DOWN] * 2])
    async with store_behind(settings, lambda _: next(answers)) as store:
        await store.put("first", b"1")
        with pytest.raises(BlobStoreUnavailable, match="503 SlowDown"):
            await store.put("second", b"2")
