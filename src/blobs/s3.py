"""Blobs in an S3 bucket, through one long-lived aioboto3 client.

<prefix>/<key>   one object; metadata `sha256` (lower-case hex) on those that went up in one call, and with it
                 `millstream-sidecar` (base64) where they carry something; `millstream-upload` (random) on those that
                 went up in parts, to recognise a completed upload
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from blobs.composition import plan_parts
from blobs.errors import BlobMissing, BlobStoreUnavailable, InvalidBlobKey
from blobs.keys import check_key, check_prefix, check_range
from blobs.probe import check_by_probe
from blobs.s3_client import open_client
from blobs.s3_conditions import Conditions
from blobs.s3_errors import FOREIGN_ERRORS, code_of, translated
from blobs.s3_metadata import ObjectMetadata, carried, carried_by
from blobs.s3_put import SmallPuts
from blobs.s3_settings import PART_BYTES_MIN, S3Settings
from blobs.s3_upload import S3Sink
from blobs.store import BlobInfo, BlobRef
from blobs.writer import BatchingWriter, Tail, put_whole

READ_BYTES: Final = 1024 * 1024
"""What one iteration of read() yields at most."""

DELETES_AT_ONCE: Final = 50
"""Half of the default connections. One call a key: the bulk call needs checksums that not every server accepts."""

RANGE_BEHIND_THE_END: Final = frozenset({"InvalidRange", "416"})

_T = TypeVar("_T")


class S3BlobStore:
    """A BlobStore in one bucket. Belongs to the event loop that first uses it."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency_max)
        self._resources = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._puts: SmallPuts
        self._is_closed = False
        self._conditions = Conditions(self._call, bucket=settings.bucket, name_of=self._name)
        self._metadata = ObjectMetadata(self._call, settings, name_of=self._name)

    async def open(self) -> None:
        """Build the client if there is none yet; connects to nothing. Every call does this itself.

        Raises BlobStoreUnavailable after close().
        """
        if self._client is not None:
            return
        async with self._opening:
            if self._is_closed:
                raise BlobStoreUnavailable("The blob store is closed.")
            if self._client is None:
                opened = await self._translate("", self._resources.enter_async_context(open_client(self._settings)))
                self._client, self._puts = opened

    def writer(self, key: str) -> BatchingWriter:
        """Begin a blob; one of up to `part_bytes` goes up in a single call at commit, a longer one in parts."""
        return BatchingWriter(key, self._sink(key), batch_bytes=self._settings.part_bytes)

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob."""
        return await put_whole(self.writer(key), data)

    async def put_new(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob in one call where there is none. Raises BlobExists."""
        sha256 = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        await self._conditions.put_new(check_key(key), data, sha256)
        return BlobRef(key=key, size_bytes=len(data), sha256=sha256)

    async def compares(self) -> bool:
        """Whether the server keeps `If-None-Match: *` when several write at once; asked once."""
        return await self._conditions.are_honoured()

    async def get(self, key: str) -> bytes:
        """Return a whole blob. Raises BlobMissing."""
        return b"".join([piece async for piece in self.read(key)])

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the range in pieces of up to 1 MiB. Holds a connection until the iteration ends or is closed."""
        check_range(start, length)
        check_key(key)
        if length == 0:
            await self._head(key)
            return
        async with aclosing(self.read_object(key, start=start, length=length)) as pieces:
            async for piece in pieces:
                yield piece

    async def read_object(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """The same for a key that somebody else chose, and has to have checked (`objects.check_object_key`)."""
        await self.open()
        await self._take_slot()
        try:
            body = await self._open_body(key, start, length)
            if body is not None:
                async with body:
                    while piece := await self._translate(key, body.read(READ_BYTES)):
                        yield piece
        finally:
            self._slots.release()

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        """Make one blob of others. The server copies what has the size of a part; of the rest 5 MiB are read."""
        await self._sink(to).compose(plan_parts(sources, least_bytes=PART_BYTES_MIN), self.read, self._name)

    async def stat(self, key: str) -> BlobInfo | None:
        """Return what is known of a blob."""
        try:
            found = await self._head(check_key(key))
        except BlobMissing:
            return None
        return BlobInfo(key=key, size_bytes=found["ContentLength"], modified_at=_utc(found["LastModified"]))

    async def metadata(self, key: str) -> bytes | None:
        """Return what an object carries besides its bytes."""
        try:
            return carried_by(await self._head(check_key(key)))
        except BlobMissing:
            return None

    async def delete(self, key: str) -> bool:
        """Delete a blob; False when there was none (asked first: S3 itself does not tell)."""
        if await self.stat(key) is None:
            return False
        await self._delete(key)
        return True

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every blob whose key begins with the prefix, up to 50 at a time."""
        if not prefix:
            raise InvalidBlobKey(prefix, "an empty prefix would erase the whole store")
        deleted = 0
        async for page in self._pages(prefix):
            for batch in _batches(page):
                results = await asyncio.gather(*(self._delete(info.key) for info in batch), return_exceptions=True)
                for failure in filter(None, results):
                    raise failure
                deleted += len(batch)
        return deleted

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield what begins with the prefix, a page of up to 1,000 a call."""
        async for page in self._pages(prefix):
            for info in page:
                yield info

    async def check(self) -> None:
        """Write, read and delete a probe."""
        where = self._settings.endpoint_url or f"the region {self._settings.region}"
        advice = f"Make sure that {where} answers and that its bucket {self._settings.bucket!r} may be written to."
        await check_by_probe(self, advice=advice)

    async def create_bucket(self) -> bool:
        """Make the bucket, False where it is there already: for set-up, a running service's keys need no such right."""
        bucket, region = self._settings.bucket, self._settings.region
        # Amazon refuses its default region as a constraint, and every other region without one.
        options = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}

        async def create(s3: Any) -> bool:
            try:
                await s3.create_bucket(Bucket=bucket, **options)
            except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
                return False
            return True

        return await self._call("", create)

    async def abort_abandoned_uploads(self, *, older_than: timedelta, now: datetime) -> int:
        """Abort uploads in parts that were begun before then by processes that died; return how many there were.

        S3 bills their parts until somebody does. A lifecycle rule of the bucket does the same.
        """
        oldest, aborted = now - older_than, 0
        async for page in self._pages_of_uploads():
            for upload in page:
                if _utc(upload["Initiated"]) < oldest:
                    await self._abort_upload(upload["Key"], upload["UploadId"])
                    aborted += 1
        return aborted

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        async with self._opening:
            self._client = None
            await self._resources.aclose()

    def _sink(self, key: str) -> S3Sink:
        name = self._name(check_key(key))

        async def put(body: Tail, sha256: str, metadata: bytes) -> None:
            fields = {"sha256": sha256, **carried(metadata)}
            await self._call(key, lambda _: self._puts.put(name, body, fields))

        return S3Sink(self._call, put, self._metadata.keeps, key, bucket=self._settings.bucket, name=name)

    async def _call(self, key: str, operation: Callable[[Any], Awaitable[_T]], *, timeout_s: float | None = None) -> _T:
        """Run one call of the SDK within its share of connections and time, and translate its errors."""
        await self.open()

        async def within_limits() -> _T:
            async with asyncio.timeout(timeout_s or self._settings.call_timeout_s), self._slots:
                return await operation(self._client)

        return await self._translate(key, within_limits())

    async def _translate(self, key: str, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except FOREIGN_ERRORS as error:
            limits = self._settings
            raise translated(error, key, bucket=limits.bucket, call_timeout_s=limits.call_timeout_s) from error

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise BlobStoreUnavailable(
                f"All {self._settings.concurrency_max} connections to the S3 server stayed busy."
            ) from error

    async def _open_body(self, key: str, start: int, length: int | None) -> Any:
        """Ask for a range and return its stream, None where the range begins behind the end of the blob."""
        which = {"Bucket": self._settings.bucket, "Key": self._name(key)}
        if start or length is not None:
            which["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"

        async def get_object() -> Any:
            try:
                async with asyncio.timeout(self._settings.call_timeout_s):
                    return (await self._client.get_object(**which))["Body"]
            except ClientError as error:
                if code_of(error) in RANGE_BEHIND_THE_END:
                    return None
                raise

        return await self._translate(key, get_object())

    async def _head(self, key: str) -> dict[str, Any]:
        which = {"Bucket": self._settings.bucket, "Key": self._name(key)}
        found: dict[str, Any] = await self._call(key, lambda s3: s3.head_object(**which))
        return found

    async def _delete(self, key: str) -> None:
        which = {"Bucket": self._settings.bucket, "Key": self._name(key)}
        await self._call(key, lambda s3: s3.delete_object(**which))

    async def _abort_upload(self, name: str, upload_id: str) -> None:
        which = {"Bucket": self._settings.bucket, "Key": name, "UploadId": upload_id}
        await self._call(name, lambda s3: s3.abort_multipart_upload(**which))

    async def _pages(self, prefix: str) -> AsyncIterator[Sequence[BlobInfo]]:
        which: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": self._name(check_prefix(prefix))}
        is_last = False
        while not is_last:
            page = await self._call(prefix, lambda s3: s3.list_objects_v2(**which))
            yield [self._info(found) for found in page.get("Contents", ())]
            is_last = not page.get("IsTruncated", False)
            which["ContinuationToken"] = page.get("NextContinuationToken")

    async def _pages_of_uploads(self) -> AsyncIterator[Sequence[dict[str, Any]]]:
        which: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": self._name("")}
        is_last = False
        while not is_last:
            page = await self._call("", lambda s3: s3.list_multipart_uploads(**which))
            yield page.get("Uploads", ())
            is_last = not page.get("IsTruncated", False)
            which.update(KeyMarker=page.get("NextKeyMarker"), UploadIdMarker=page.get("NextUploadIdMarker"))

    def _info(self, found: dict[str, Any]) -> BlobInfo:
        key = found["Key"][len(self._name("")) :]
        return BlobInfo(key=key, size_bytes=found["Size"], modified_at=_utc(found["LastModified"]))

    def _name(self, key: str) -> str:
        return f"{self._settings.prefix}/{key}" if self._settings.prefix else key


def _batches(page: Sequence[BlobInfo]) -> Iterator[Sequence[BlobInfo]]:
    return (page[first : first + DELETES_AT_ONCE] for first in range(0, len(page), DELETES_AT_ONCE))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
