"""S3BlobStore against a real server that fails: refused, slow, full, cut in the middle."""

import asyncio
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pytest
from aiohttp import web

from blobs.errors import BlobStoreFull, BlobStoreUnavailable
from blobs.s3 import S3BlobStore
from blobs.s3_client import make_client
from blobs.s3_settings import PART_BYTES_MIN, S3Settings
from tests.servers.s3_gateway import S3Server
from tests.servers.s3_proxy import Fault, FaultyProxy, Plan

pytest_plugins = ("tests.servers.s3",)

OpenStore = Callable[[S3Settings], S3BlobStore]

MIB: Final = 1024 * 1024
PARTS: Final = bytes(range(251)) * (11 * MIB // 251)


@pytest.fixture
def settings(s3_server: S3Server) -> S3Settings:
    return S3Settings(
        bucket=s3_server.bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        prefix=f"faults/{secrets.token_hex(8)}",
        part_bytes=PART_BYTES_MIN,
    )


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    """Build stores that are closed at the end of the test, also where it fails."""
    stores: list[S3BlobStore] = []

    def open_one(settings: S3Settings) -> S3BlobStore:
        stores.append(S3BlobStore(settings))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


def changed(settings: S3Settings, **changes: object) -> S3Settings:
    return msgspec.structs.replace(settings, **changes)


def the_first(count: int, fault: Fault, is_meant: Callable[[web.Request], bool]) -> Plan:
    left = [fault] * count

    def plan(request: web.Request) -> Fault | None:
        return left.pop() if left and is_meant(request) else None

    return plan


def is_part(number: int) -> Callable[[web.Request], bool]:
    return lambda request: request.query.get("partNumber") == str(number)


def is_put(request: web.Request) -> bool:
    return request.method == "PUT"


async def open_uploads(settings: S3Settings) -> int:
    """Count the uploads in parts that are begun and neither completed nor aborted, by aborting them."""
    store = S3BlobStore(settings)
    later = datetime.now(UTC) + timedelta(minutes=1)
    count = await store.abort_abandoned_uploads(older_than=timedelta(0), now=later)
    await store.close()
    return count


async def test_a_server_that_refuses_connections_is_unavailable(settings: S3Settings, open_store: OpenStore) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        store = open_store(changed(settings, endpoint_url=endpoint_url, attempts_max=1))
        for call in (store.put("a", b"x"), store.get("a"), store.stat("a"), store.delete("a")):
            with pytest.raises(BlobStoreUnavailable, match="could not be reached"):
                await call
        with pytest.raises(BlobStoreUnavailable, match=f"Make sure that {endpoint_url} answers"):
            await store.check()


async def test_a_busy_server_is_asked_again(settings: S3Settings, open_store: OpenStore) -> None:
    async with FaultyProxy(settings.endpoint_url or "", the_first(2, Fault.SLOW_DOWN, is_put)) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url))
        await store.put("busy", b"patience")
        assert await store.get("busy") == b"patience"
        assert sum(request.startswith("PUT") for request in proxy.requests) == 3


async def test_a_server_that_stays_busy_is_unavailable_after_the_last_attempt(
    settings: S3Settings, open_store: OpenStore
) -> None:
    async with FaultyProxy(settings.endpoint_url or "", lambda _: Fault.SLOW_DOWN) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url, attempts_max=2))
        with pytest.raises(BlobStoreUnavailable, match="503 SlowDown"):
            await store.put("busy", b"x")
        assert len(proxy.requests) == 2


async def test_of_a_third_of_calls_failing_most_puts_still_succeed(settings: S3Settings, open_store: OpenStore) -> None:
    dice = random.Random(22)  # noqa: S311
    async with FaultyProxy(
        settings.endpoint_url or "", lambda _: Fault.SLOW_DOWN if dice.random() < 0.3 else None
    ) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url, attempts_max=8))
        refs = await asyncio.gather(*(store.put(f"many/{number}", b"x" * number) for number in range(60)))
        assert [ref.size_bytes for ref in refs] == list(range(60))
        assert len([info async for info in store.list("many/")]) == 60


async def test_a_server_without_space_is_full(settings: S3Settings, open_store: OpenStore) -> None:
    async with FaultyProxy(settings.endpoint_url or "", lambda _: Fault.FULL) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url))
        with pytest.raises(BlobStoreFull):
            await store.put("large", b"x")
        with pytest.raises(BlobStoreUnavailable, match="No space"):
            await store.check()


async def test_a_silent_server_is_unavailable_within_the_time_of_a_call(
    settings: S3Settings, open_store: OpenStore
) -> None:
    async with FaultyProxy(settings.endpoint_url or "", lambda _: Fault.SILENCE) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url, call_timeout_s=0.3))
        async with asyncio.timeout(10):
            with pytest.raises(BlobStoreUnavailable, match=r"did not answer within 0\.3 s"):
                await store.put("silent", b"x")
            with pytest.raises(BlobStoreUnavailable, match=r"did not answer within 0\.3 s"):
                await store.get("silent")


async def test_a_connection_silent_for_too_long_is_given_up(settings: S3Settings, open_store: OpenStore) -> None:
    async with FaultyProxy(settings.endpoint_url or "", lambda _: Fault.SILENCE) as proxy:
        limits = changed(settings, endpoint_url=proxy.endpoint_url, read_timeout_s=0.3, attempts_max=1)
        store = open_store(limits)
        with pytest.raises(BlobStoreUnavailable, match="Read timeout"):
            await store.stat("silent")


async def test_a_part_whose_connection_was_cut_is_sent_again(settings: S3Settings, open_store: OpenStore) -> None:
    async with FaultyProxy(settings.endpoint_url or "", the_first(1, Fault.CUT_REQUEST, is_part(2))) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url))
        await store.put("parts", PARTS)
        assert await store.get("parts") == PARTS
        assert sum("partNumber=2" in request for request in proxy.requests) == 2
    assert await open_uploads(settings) == 0


async def test_an_upload_whose_part_fails_for_good_is_aborted(settings: S3Settings, open_store: OpenStore) -> None:
    def plan(request: web.Request) -> Fault | None:
        return Fault.CUT_REQUEST if is_part(2)(request) else None

    async with FaultyProxy(settings.endpoint_url or "", plan) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url, attempts_max=2))
        with pytest.raises(BlobStoreUnavailable):
            await store.put("parts", PARTS)
        assert await store.stat("parts") is None
    assert await open_uploads(settings) == 0


async def test_a_completion_whose_answer_was_lost_counts_once(settings: S3Settings, open_store: OpenStore) -> None:
    def is_completion(request: web.Request) -> bool:
        return request.method == "POST" and "uploadId" in request.query

    async with FaultyProxy(settings.endpoint_url or "", the_first(1, Fault.LOSE_ANSWER, is_completion)) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url))
        ref = await store.put("parts", PARTS)
        assert ref.size_bytes == len(PARTS)
        assert sum(request.startswith("POST") and "uploadId=" in request for request in proxy.requests) == 2
        assert await store.get("parts") == PARTS
    assert await open_uploads(settings) == 0


async def test_an_upload_that_could_not_be_aborted_says_so_beside_the_first_error(
    settings: S3Settings, open_store: OpenStore
) -> None:
    def plan(request: web.Request) -> Fault | None:
        return Fault.SLOW_DOWN if request.method == "DELETE" or is_part(1)(request) else None

    async with FaultyProxy(settings.endpoint_url or "", plan) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url, attempts_max=1))
        with pytest.raises(BlobStoreUnavailable) as caught:
            await store.put("parts", PARTS)
        assert "could not be removed" in "".join(caught.value.__notes__)
    assert await open_uploads(settings) == 1
    assert await open_uploads(settings) == 0


async def test_only_old_uploads_are_abandoned(settings: S3Settings, open_store: OpenStore) -> None:
    store = open_store(settings)
    async with store.writer("young") as writer:
        await writer.write(PARTS)
        now = datetime.now(UTC)
        assert await store.abort_abandoned_uploads(older_than=timedelta(hours=24), now=now) == 0
        await writer.commit()
    assert await store.get("young") == PARTS


async def test_an_upload_that_was_swept_away_cannot_be_committed(settings: S3Settings, open_store: OpenStore) -> None:
    store = open_store(settings)
    async with store.writer("swept") as writer:
        await writer.write(PARTS)
        assert await open_uploads(settings) == 1
        with pytest.raises(BlobStoreUnavailable):
            await writer.commit()
    assert await store.stat("swept") is None


async def test_a_download_that_breaks_off_is_no_short_blob(settings: S3Settings, open_store: OpenStore) -> None:
    direct = open_store(settings)
    await direct.put("whole", PARTS)
    async with FaultyProxy(settings.endpoint_url or "", lambda _: Fault.CUT_RESPONSE) as proxy:
        store = open_store(changed(settings, endpoint_url=proxy.endpoint_url))
        with pytest.raises(BlobStoreUnavailable, match="broke off"):
            await store.get("whole")


async def test_a_slow_reader_does_not_block_more_than_its_connection(
    settings: S3Settings, open_store: OpenStore
) -> None:
    store = open_store(changed(settings, concurrency_max=1, call_timeout_s=2.0))
    await store.put("large", PARTS)
    pieces = store.read("large")
    await anext(pieces)
    with pytest.raises(BlobStoreUnavailable):
        await store.stat("large")
    with pytest.raises(BlobStoreUnavailable, match="stayed busy"):
        await store.get("large")
    await pieces.aclose()  # type: ignore[attr-defined]
    assert await store.stat("large") is not None


async def test_a_missing_bucket_is_named(settings: S3Settings, open_store: OpenStore) -> None:
    store = open_store(changed(settings, bucket="no-such-bucket"))
    with pytest.raises(BlobStoreUnavailable, match="The bucket 'no-such-bucket' does not exist: create it"):
        await store.check()
    with pytest.raises(BlobStoreUnavailable, match="does not exist"):
        await store.get("a")


async def test_wrong_keys_are_named_without_the_secret(settings: S3Settings, open_store: OpenStore) -> None:
    store = open_store(changed(settings, secret_key="not-the-secret"))
    with pytest.raises(BlobStoreUnavailable, match="check the keys") as caught:
        await store.check()
    assert "not-the-secret" not in str(caught.value)


async def test_the_hash_of_a_short_blob_is_kept_as_metadata(settings: S3Settings, open_store: OpenStore) -> None:
    store = open_store(settings)
    ref = await store.put("hashed", b"x")
    async with make_client(settings) as client:
        found = await client.head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/hashed")
    assert found["Metadata"] == {"sha256": ref.sha256}
