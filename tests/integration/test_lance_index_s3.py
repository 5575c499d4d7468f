"""The index in a bucket of a real S3 server: the contract of every index."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from blobs.s3_settings import S3Settings
from knowledge.index import Index
from knowledge.lance_index import LanceIndex
from knowledge.lance_vectors import VECTOR_COLUMN, VECTOR_INDEX_ROWS_MIN
from knowledge.lance_versions import LanceVersions, MemoryVersionRegister, TableVersions
from knowledge.memory_index import MemoryIndex
from millstream.index_location import lance_options
from millstream.index_manifests import BucketManifests
from tests.contract.index_contract import TABLE, IndexContract, direction, rows_of
from tests.searched import search_vector
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.s3",)


@asynccontextmanager
async def index_in_a_bucket(s3_server: S3Server, *, vector_index_rows_min: int) -> AsyncIterator[LanceIndex]:
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
        vector_index_rows_min=vector_index_rows_min,
    )
    yield index
    await index.close()
    await manifests.close()


class TestLanceIndexInABucket(IndexContract):
    @pytest.fixture
    async def index(self, s3_server: S3Server) -> AsyncIterator[Index]:
        async with index_in_a_bucket(s3_server, vector_index_rows_min=VECTOR_INDEX_ROWS_MIN) as index:
            yield index


async def test_an_index_on_vectors_in_a_bucket_finds_the_nearest_whatever_happened_since(s3_server: S3Server) -> None:
    async with index_in_a_bucket(s3_server, vector_index_rows_min=1) as index:
        memory = MemoryIndex()
        for one in (index, memory):
            await one.upsert(TABLE, "doc_many", rows_of("doc_many", [f"sack {number}" for number in range(60)]))
            await one.upsert(TABLE, "doc_edited", rows_of("doc_edited", ["old", "gone"], angle=0.3), fence=3)
            await one.optimize(TABLE)
            await one.upsert(TABLE, "doc_edited", rows_of("doc_edited", ["new"], angle=0.7), fence=4)
            await one.erase(TABLE, "doc_gone")
        columns = {column for found in await index._handles[TABLE].rows.list_indices() for column in found.columns}
        assert VECTOR_COLUMN in columns
        for angle in (0.0, 0.7, 3.0):
            found = await search_vector(index, TABLE, direction(angle), limit=20)
            expected = await search_vector(memory, TABLE, direction(angle), limit=20)
            assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
        await index.optimize(TABLE)
        texts = [hit.chunk.text for hit in await search_vector(index, TABLE, direction(0.7), limit=100)]
        assert len(texts) == 61
        assert "new" in texts
