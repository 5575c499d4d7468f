"""Small objects go past the SDK's request machinery, and nobody can tell: against a real server."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aioboto3
import msgspec
import pytest
from aiohttp import web
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from blobs import s3_client
from blobs.errors import BlobStoreFull, BlobStoreUnavailable
from blobs.s3 import S3BlobStore
from blobs.s3_client import make_client, open_client
from blobs.s3_put import SMALL_BYTES_MAX
from blobs.s3_settings import S3Settings
from tests.servers.s3_gateway import S3Server
from tests.servers.s3_proxy import Fault, FaultyProxy, Plan

pytest_plugins = ("tests.servers.s3",)

SMALL: Final = b"a small object, "
DIGEST: Final = {"sha256": hashlib.sha256(SMALL).hexdigest()}


@pytest.fixture
def settings(s3_server: S3Server) -> S3Settings:
    return S3Settings(
        bucket=s3_server.bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        prefix=f"small/{secrets.token_hex(8)}",
    )


@pytest.fixture
async def proxy(settings: S3Settings) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(settings.endpoint_url or "", lambda _: None) as proxy:
        yield proxy


@pytest.fixture
async def store(settings: S3Settings, proxy: FaultyProxy) -> AsyncIterator[S3BlobStore]:
    store = S3BlobStore(msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url))
    yield store
    await store.close()


def the_first_put(fault: Fault) -> Plan:
    left = [fault]
    return lambda request: left.pop() if left and request.method == "PUT" else None


def puts(proxy: FaultyProxy) -> int:
    return sum(request.startswith("PUT") for request in proxy.requests)


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1])
async def test_an_object_is_as_the_sdk_would_have_put_it(settings: S3Settings, size_bytes: int) -> None:
    data = (SMALL * (size_bytes // len(SMALL) + 1))[:size_bytes]
    store = S3BlobStore(settings)
    ref = await store.put("ours/@.a_b-c", data)
    await store.close()
    async with make_client(settings) as client:
        where = {"Bucket": settings.bucket, "Metadata": {"sha256": ref.sha256}}
        await client.put_object(**where, Key=f"{settings.prefix}/theirs", Body=data)
        ours, theirs = [
            await client.head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/{key}")
            for key in ("ours/@.a_b-c", "theirs")
        ]
    same = ("ContentLength", "ContentType", "ETag", "Metadata")
    assert [ours[name] for name in same] == [theirs[name] for name in same]


@pytest.mark.parametrize("fault", [Fault.CUT_REQUEST, Fault.LOSE_ANSWER, Fault.SLOW_DOWN], ids=lambda fault: fault.name)
async def test_what_fails_for_a_moment_is_tried_again(store: S3BlobStore, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.plan = the_first_put(fault)
    await store.put("again", SMALL)
    assert await store.get("again") == SMALL
    assert puts(proxy) == 2


async def test_what_was_tried_again_and_stored_gives_its_retries_back(settings: S3Settings, proxy: FaultyProxy) -> None:
    """The SDK has 500 for a client and takes 5 each time: it would soon try nothing again."""
    async with open_client(msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url)) as (client, small):
        (given_back,) = client.meta.events._emitter._handlers.prefix_search("after-call.s3.PutObject")
        quota = given_back.__self__._quota
        full = quota.available_capacity
        for _ in range(2):
            proxy.plan = the_first_put(Fault.SLOW_DOWN)
            await small.put(f"{settings.prefix}/again", [SMALL], DIGEST)
        assert puts(proxy) == 4
        assert quota.available_capacity == full


async def test_what_another_call_took_in_vain_is_given_back_by_what_succeeds(
    settings: S3Settings, proxy: FaultyProxy
) -> None:
    settings = msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url, attempts_max=2)
    async with open_client(settings) as (client, small):
        (given_back,) = client.meta.events._emitter._handlers.prefix_search("after-call.s3.PutObject")
        quota = given_back.__self__._quota
        full = quota.available_capacity
        proxy.plan = lambda request: Fault.SLOW_DOWN if request.method == "GET" else None
        with pytest.raises(ClientError):
            await client.get_object(Bucket=settings.bucket, Key="any")
        taken = full - quota.available_capacity
        assert taken > 0
        for number in range(taken):
            await small.put(f"{settings.prefix}/{number}", [SMALL], DIGEST)
        assert quota.available_capacity == full


async def test_a_server_that_refuses_connections_for_a_moment_is_tried_again(
    settings: S3Settings, proxy: FaultyProxy
) -> None:
    attempts: list[str] = []

    async def listens_again(caught_exception: Exception, **_: object) -> None:
        attempts.append(type(caught_exception).__name__)
        await proxy.accept()

    async with open_client(msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url)) as (client, small):
        client.meta.events.register_first("needs-retry.s3.PutObject", listens_again)
        await proxy.refuse()
        await small.put(f"{settings.prefix}/refusing", [SMALL], DIGEST)
    assert attempts == ["EndpointConnectionError"]
    assert puts(proxy) == 1


async def test_what_is_refused_for_good_is_not_tried_again(
    settings: S3Settings, proxy: FaultyProxy, store: S3BlobStore
) -> None:
    wrong = msgspec.structs.replace(settings, endpoint_url=proxy.endpoint_url, secret_key="another")
    other = S3BlobStore(wrong)
    with pytest.raises(BlobStoreUnavailable, match="SignatureDoesNotMatch"):
        await other.put("refused", SMALL)
    await other.close()
    assert puts(proxy) == 1
    assert await store.stat("refused") is None


async def test_a_bucket_in_another_region_is_left_to_the_sdk_and_said_once(
    store: S3BlobStore, proxy: FaultyProxy
) -> None:
    proxy.plan = the_first_put(Fault.ELSEWHERE)
    with capture_logs() as logs:
        for key in ("first", "second"):
            await store.put(key, SMALL)
            assert await store.get(key) == SMALL
    assert [entry["event"] for entry in logs] == ["s3_region_is_another"]
    assert puts(proxy) == 3


async def test_credentials_that_were_renewed_sign_the_next_put(
    settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, soon = tmp_path / "keys.json", datetime.now(UTC) + timedelta(minutes=5)  # so near that the SDK asks anew

    def hand_out(secret_key: str | None) -> None:
        named = {"AccessKeyId": settings.access_key, "SecretAccessKey": secret_key, "Expiration": soon.isoformat()}
        keys.write_bytes(msgspec.json.encode({"Version": 1, **named}))

    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {keys}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(s3_client, "_session", aioboto3.Session)
    hand_out("an older secret")
    store = S3BlobStore(msgspec.structs.replace(settings, access_key=None, secret_key=None))
    with pytest.raises(BlobStoreUnavailable, match="check the keys"):
        await store.put("renewed", SMALL)
    hand_out(settings.secret_key)
    await store.put("renewed", SMALL)
    assert await store.get("renewed") == SMALL
    await store.close()


async def test_without_credentials_nothing_is_sent(
    settings: S3Settings, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(s3_client, "_session", aioboto3.Session)
    limits = {"endpoint_url": proxy.endpoint_url, "access_key": None, "secret_key": None}
    store = S3BlobStore(msgspec.structs.replace(settings, **limits))
    with pytest.raises(BlobStoreUnavailable, match="No S3 credentials were found"):
        await store.put("nobody", SMALL)
    await store.close()
    assert puts(proxy) == 0


async def test_a_proxy_that_the_environment_names_is_gone_through(
    settings: S3Settings, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []

    def seen(request: web.Request) -> Fault | None:
        came.append(request.method)
        return Fault.FULL

    proxy.plan = seen
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy.endpoint_url)
    store = S3BlobStore(settings)
    with pytest.raises(BlobStoreFull):
        await store.put("through", SMALL)
    await store.close()
    assert came == ["PUT"]
