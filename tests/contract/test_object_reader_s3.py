"""The reader of a bucket of a real S3 server keeps the contract."""

import secrets
from collections.abc import AsyncIterator

import pytest

from blobs.s3_client import make_client
from blobs.s3_objects import S3Objects
from blobs.s3_settings import S3Settings
from tests.contract.object_reader_contract import OBJECTS, ObjectReaderContract
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.s3",)


class TestS3Objects(ObjectReaderContract):
    @pytest.fixture
    async def reader(self, s3_server: S3Server) -> AsyncIterator[S3Objects]:
        settings = S3Settings(
            bucket=s3_server.bucket,
            endpoint_url=s3_server.endpoint_url,
            access_key=s3_server.access_key,
            secret_key=s3_server.secret_key,
            prefix=f"import/{secrets.token_hex(8)}",
            attempts_max=2,
        )
        async with make_client(settings) as client:
            for key, content in OBJECTS.items():
                await client.put_object(Bucket=settings.bucket, Key=f"{settings.prefix}/{key}", Body=content)
        reader = S3Objects(settings)
        yield reader
        await reader.close()
