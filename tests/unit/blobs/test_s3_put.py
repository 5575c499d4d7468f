"""How the SDK would put an object, asked without a server."""

from typing import Any

import msgspec
import pytest

from blobs.s3_put import Form, form_of
from blobs.s3_settings import S3Settings

AT_AMAZON = S3Settings(bucket="mill-blobs", region="eu-central-1", access_key="id", secret_key="secret")


def make_client(settings: S3Settings) -> Any:
    """The SDK takes 0.4 s to import, and one process of a run needs it."""
    from blobs.s3_client import make_client

    return make_client(settings)


async def form(settings: S3Settings) -> Form | None:
    async with make_client(settings) as client:
        return await form_of(client, settings.bucket)


@pytest.mark.parametrize(
    ("changes", "url", "region"),
    [
        ({}, "https://mill-blobs.s3.eu-central-1.amazonaws.com/", "eu-central-1"),
        ({"bucket": "mill.blobs"}, "https://s3.eu-central-1.amazonaws.com/mill.blobs/", "eu-central-1"),
        ({"region": "cn-north-1"}, "https://mill-blobs.s3.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
        ({"endpoint_url": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/mill-blobs/", "eu-central-1"),
        ({"endpoint_url": "https://s3.example/at"}, "https://s3.example/at/mill-blobs/", "eu-central-1"),
    ],
    ids=["virtual host", "dotted name", "China", "own server", "own server with a path"],
)
async def test_the_address_is_the_one_that_the_sdk_chooses(changes: dict[str, str], url: str, region: str) -> None:
    found = await form(msgspec.structs.replace(AT_AMAZON, **changes))
    assert found is not None
    assert (found.url, found.region, found.signing_name) == (url, region, "s3")


async def test_no_header_is_copied_that_belongs_to_one_call() -> None:
    found = await form(AT_AMAZON)
    assert found is not None
    assert list(found.headers) == ["User-Agent"]


async def test_a_directory_bucket_is_left_to_the_sdk() -> None:
    assert await form(msgspec.structs.replace(AT_AMAZON, bucket="mill--euc1-az1--x-s3")) is None


async def test_asking_leaves_the_client_as_it_was() -> None:
    async with make_client(AT_AMAZON) as client:
        first = await form_of(client, AT_AMAZON.bucket)
        second = await form_of(client, AT_AMAZON.bucket)
    assert first == second
