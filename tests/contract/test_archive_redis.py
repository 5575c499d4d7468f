"""The log on Redis keeps the contract with its archive in a directory, and on a real S3 server."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobs.local import LocalBlobStore
from blobs.s3 import S3BlobStore
from blobs.s3_settings import S3Settings
from events.errors import ArchiveRefused
from events.redis_clients import Clients
from tests.contract.archive_contract import ArchiveContract
from tests.contract.archive_world import ArchiveWorld, RedisArchiveWorld, archive_all
from tests.contract.event_log_contract import STARTED, document_write
from tests.event_samples import new_document
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.redis", "tests.servers.s3")


class TestRedisAndDirectory(ArchiveContract):
    @pytest.fixture
    async def world(self, redis_clients: Clients, tmp_path: Path) -> AsyncIterator[ArchiveWorld]:
        blobs = LocalBlobStore(tmp_path)
        yield await RedisArchiveWorld.begun(redis_clients, blobs)
        await blobs.close()


async def test_a_redis_that_no_installation_has_begun_in_is_not_archived(
    redis_clients: Clients, tmp_path: Path
) -> None:
    blobs = LocalBlobStore(tmp_path)
    world = RedisArchiveWorld(redis_clients, blobs)
    await world.log.append([document_write(new_document(), 0, STARTED)])
    with pytest.raises(ArchiveRefused, match="whose"):
        await archive_all(world)
    assert [info async for info in blobs.list("")] == []
    await blobs.close()


class TestRedisAndS3(ArchiveContract):
    @pytest.fixture
    async def world(self, redis_clients: Clients, s3_server: S3Server) -> AsyncIterator[ArchiveWorld]:
        blobs = S3BlobStore(
            S3Settings(
                bucket=s3_server.bucket,
                endpoint_url=s3_server.endpoint_url,
                access_key=s3_server.access_key,
                secret_key=s3_server.secret_key,
                prefix=f"archive-contract/{secrets.token_hex(8)}",
            )
        )
        yield await RedisArchiveWorld.begun(redis_clients, blobs)
        await blobs.close()
