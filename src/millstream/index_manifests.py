"""What `knowledge/lance_versions.py` asks for, on Redis and on the bucket of the index."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from blobs.errors import BlobError, BlobExists, BlobMissing
from blobs.s3 import S3BlobStore
from blobs.s3_settings import S3Settings
from events.errors import LogError
from events.redis_index_versions import RedisIndexVersions
from knowledge.errors import IndexUnavailable
from knowledge.lance_versions import Entry, VersionTaken


class SharedRegister:
    """A `VersionRegister` in Redis."""

    def __init__(self, versions: RedisIndexVersions) -> None:
        self._versions = versions

    async def newest(self, table: str) -> Entry | None:
        with _translated():
            found = await self._versions.newest(table)
        return None if found is None else Entry(*found)

    async def replace(self, table: str, seen: Entry | None, entry: Entry | None) -> bool:
        with _translated():
            return await self._versions.replace(table, _pair(seen), _pair(entry))


class BucketManifests:
    """The `Manifests` of an index in a bucket; what is `compared` is put by the server where nothing is."""

    def __init__(self, bucket: S3Settings) -> None:
        self._blobs = S3BlobStore(bucket)
        self.compared = False

    async def server_compares(self) -> bool:
        """Raises BlobError."""
        return await self._blobs.compares()

    async def check(self) -> None:
        """Raises BlobStoreUnavailable that says what to do."""
        await self._blobs.check()

    async def create_bucket(self) -> None:
        """Raises BlobError."""
        await self._blobs.create_bucket()

    async def read(self, name: str) -> bytes | None:
        with _translated():
            try:
                return await self._blobs.get(name)
            except BlobMissing:
                return None

    async def write(self, name: str, content: bytes) -> None:
        with _translated():
            if not self.compared:
                await self._blobs.put(name, content)
                return
            try:
                await self._blobs.put_new(name, content)
            except BlobExists as error:
                raise VersionTaken(str(error)) from error

    async def delete(self, name: str) -> None:
        with _translated():
            await self._blobs.delete(name)

    async def is_there(self, name: str) -> bool:
        with _translated():
            return await self._blobs.stat(name) is not None

    async def names(self, beginning: str) -> Sequence[str]:
        with _translated():
            return [info.key async for info in self._blobs.list(beginning)]

    async def close(self) -> None:
        """Closes the connections."""
        await self._blobs.close()


def _pair(entry: Entry | None) -> tuple[int, str] | None:
    return None if entry is None else (entry.version, entry.staged)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (LogError, BlobError) as error:
        raise IndexUnavailable(f"the index failed: {error}") from error
