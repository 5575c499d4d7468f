"""Objects below a prefix of an S3 bucket: read, and never written to."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from blobs.objects import check_object_key
from blobs.s3 import S3BlobStore
from blobs.s3_settings import S3Settings


class S3Objects:
    """An ObjectReader over one bucket. Belongs to the event loop that first uses it."""

    def __init__(self, settings: S3Settings) -> None:
        self._store = S3BlobStore(settings)

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield pieces of up to 1 MiB."""
        async with aclosing(self._store.read_object(check_object_key(key))) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()
