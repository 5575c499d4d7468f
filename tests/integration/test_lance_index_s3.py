"""The index in a bucket of a real S3 server: the contract of every index."""

import secrets
from collections.abc import AsyncIterator

import pytest

from blobs.s3_settings import S3Settings
from knowledge.index import Index
from knowledge.lance_index import LanceIndex
from knowledge.lance_versions import LanceVersions, MemoryVersionRegister, TableVersions
from millstream.index_location import lance_options
from millstream.index_manifests import BucketManifests
from tests.contract.index_contract import IndexContract
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.s3",)


class TestLanceIndexInABucket(IndexContract):
    @pytest.fixture
    async def index(self, s3_server: S3Server) -> AsyncIterator[Index]:
        bucket = S3Settings(
            bucket=s3_server.bucket,
            endpoint_url=s3_server.endpoint_url,
            access_key=s3_server.access_key,
            secret_key=s3_server.secret_key,
            prefix=f"index/{secrets.token_hex(8)}",
        )
        manifests = BucketManifests(bucket)
        versions = TableVersions(MemoryVersionRegister(), manifests)
        index = LanceIndex(
            f"s3://{bucket.bucket}/{bucket.prefix}",
            storage_options=lance_options(bucket),
            versions=LanceVersions(versions, prefix=bucket.prefix),
        )
        yield index
        await index.close()
        await manifests.close()
