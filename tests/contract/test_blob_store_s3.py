"""A bucket of a real S3 server keeps the blob store contract."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from blobs.s3 import S3BlobStore
from blobs.s3_client import make_client
from blobs.s3_settings import PART_BYTES_MIN, S3Settings
from tests.contract.blob_store_contract import BlobStoreContract, Leftovers
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.s3",)


class TestS3BlobStore(BlobStoreContract):
    @pytest.fixture
    def settings(self, s3_server: S3Server) -> S3Settings:
        return S3Settings(
            bucket=s3_server.bucket,
            endpoint_url=s3_server.endpoint_url,
            access_key=s3_server.access_key,
            secret_key=s3_server.secret_key,
            prefix=f"contract/{secrets.token_hex(8)}",
            part_bytes=PART_BYTES_MIN,
            attempts_max=2,
        )

    @pytest.fixture
    async def store(self, settings: S3Settings) -> AsyncIterator[S3BlobStore]:
        store = S3BlobStore(settings)
        yield store
        await store.close()

    @pytest.fixture
    def leftovers(self, settings: S3Settings) -> Leftovers:
        async def count() -> int:
            async with make_client(settings) as client:
                page: dict[str, Any] = await client.list_multipart_uploads(
                    Bucket=settings.bucket, Prefix=settings.prefix
                )
                return len(page.get("Uploads", ()))

        return count
