"""One blob on its way into a bucket: a single call for a short one, an upload in parts for a long one."""

import asyncio
import hashlib
import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from blobs.composition import BlobPart, BlobSpan
from blobs.errors import BlobError, BlobMissing, BlobStoreUnavailable
from blobs.writer import Batch, Tail

PARTS_MAX: Final = 10_000
"""S3's own limit; with the default parts of 8 MiB a blob may have 78 GiB."""

DISCARD_TIMEOUT_S: Final = 5.0
"""Giving up must not hold a client much longer than the call that failed; what stays behind is swept later."""

UPLOAD_TOKEN: Final = "millstream-upload"  # noqa: S105  (the name of a metadata field, no secret)

COPIES_IN_FLIGHT_MAX: Final = 8


class ReadRange(Protocol):
    """Reads a range of a blob, as `BlobStore.read` does."""

    def __call__(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]: ...


_T = TypeVar("_T")


class S3Call(Protocol):
    """Runs one call of the SDK within the limits of a store and raises our errors only."""

    async def __call__(
        self, key: str, operation: Callable[[Any], Awaitable[_T]], *, timeout_s: float | None = None
    ) -> _T: ...


PutWhole = Callable[[Tail, str, bytes], Awaitable[None]]
"""Puts a whole blob with its digest (hex) and what it carries, as S3Call does."""

Carries = Callable[[int], Awaitable[bool]]
"""Whether a whole blob can carry so many bytes of metadata."""


class S3Sink:
    """A sink whose batches are parts. One part is on its way while the next one fills, so two are in memory."""

    def __init__(self, call: S3Call, put: PutWhole, carries: Carries, key: str, *, bucket: str, name: str) -> None:
        self._call = call
        self._put = put
        self._carries = carries
        self._key = key
        self._where = {"Bucket": bucket, "Key": name}
        self._token = secrets.token_hex(16)
        self._begun: asyncio.Task[str] | None = None
        self._part: asyncio.Task[str] | None = None
        self._etags: list[str] = []

    async def append(self, batch: Batch) -> None:
        """Send a part as soon as the one before it has arrived."""
        upload_id = await self._begin()
        await self._finish_part()
        if len(self._etags) == PARTS_MAX:
            raise BlobError(f"The blob {self._key!r} has more than {PARTS_MAX} parts: raise part_bytes.")
        self._part = asyncio.create_task(self._send(upload_id, len(self._etags) + 1, batch))

    async def carries(self, size_bytes: int, /) -> bool:
        """Not one in parts: their metadata are told at the beginning, when nobody knows what there will be to say."""
        return self._begun is None and await self._carries(size_bytes)

    async def finish(self, tail: Tail, sha256: str, metadata: bytes, /) -> None:
        """Put a blob that is all tail; complete one that has parts."""
        if self._begun is None:
            await self._put(tail, sha256, metadata)
            return
        await self.append(tail if isinstance(tail, Batch) else io.BytesIO(b"".join(tail)))
        await self._finish_part()
        await self._complete(await self._begin())

    async def compose(self, parts: Sequence[BlobPart], read: ReadRange, name_of: Callable[[str], str]) -> None:
        """The whole blob, of parts of others, several at a time; one that must be read is in memory at most."""
        if len(parts) > PARTS_MAX:
            raise BlobError(f"The blob {self._key!r} would have more than {PARTS_MAX} parts.")
        if not any(part.is_copied for part in parts) and len(parts) <= 1:
            data = b"".join([await _read(part, read) for part in parts])
            await self.finish([data], hashlib.sha256(data).hexdigest(), b"")
            return
        try:
            await self._make(parts, read, name_of)
        except BaseException:
            await self.discard()
            raise

    async def _make(self, parts: Sequence[BlobPart], read: ReadRange, name_of: Callable[[str], str]) -> None:
        upload_id = await self._begin()
        turns, reading = asyncio.Semaphore(COPIES_IN_FLIGHT_MAX), asyncio.Lock()

        async def make(number: int, part: BlobPart) -> str:
            if part.is_copied:
                async with turns:
                    return await self._copy(upload_id, number, part.spans[0], name_of)
            async with reading:
                return await self._send(upload_id, number, io.BytesIO(await _read(part, read)))

        making = [asyncio.create_task(make(number, part)) for number, part in enumerate(parts, start=1)]
        try:
            self._etags = list(await asyncio.gather(*making))
        finally:
            for task in making:
                task.cancel()
            await asyncio.gather(*making, return_exceptions=True)
        await self._complete(upload_id)

    async def _copy(self, upload_id: str, number: int, span: BlobSpan, name_of: Callable[[str], str]) -> str:
        which = {
            **self._where,
            "UploadId": upload_id,
            "PartNumber": number,
            "CopySource": {"Bucket": self._where["Bucket"], "Key": name_of(span.key)},
            "CopySourceRange": f"bytes={span.start}-{span.start + span.length - 1}",
        }
        answer = await self._call(span.key, lambda s3: s3.upload_part_copy(**which))
        return str(answer["CopyPartResult"]["ETag"])

    async def discard(self) -> None:
        """Stop the part on its way and abort the upload."""
        if self._part is not None:
            self._part.cancel()
            # Whether it failed no longer matters: everything that the upload holds goes with the abort below.
            await asyncio.gather(self._part, return_exceptions=True)
            self._part = None
        if self._begun is not None:
            await asyncio.wait({self._begun}, timeout=DISCARD_TIMEOUT_S)
            if not self._begun.done():
                self._begun.cancel()
            elif not self._begun.cancelled() and self._begun.exception() is None:
                await self._abort(self._begun.result())
            self._begun = None

    async def _begin(self) -> str:
        """Begin the upload in parts once.

        A task of its own, because a caller cancelled between the server's yes and its arrival would leave an
        upload open whose id nobody knows.
        """
        if self._begun is None:
            self._begun = asyncio.create_task(self._create())
        return await asyncio.shield(self._begun)

    async def _create(self) -> str:
        metadata = {UPLOAD_TOKEN: self._token}
        answer = await self._call(self._key, lambda s3: s3.create_multipart_upload(**self._where, Metadata=metadata))
        return str(answer["UploadId"])

    async def _send(self, upload_id: str, number: int, batch: Batch) -> str:
        which = {**self._where, "UploadId": upload_id, "PartNumber": number}
        try:
            answer = await self._call(self._key, lambda s3: s3.upload_part(**which, Body=batch))
        except BlobMissing as error:
            raise self._gone() from error
        return str(answer["ETag"])

    async def _finish_part(self) -> None:
        if self._part is not None:
            self._etags.append(await self._part)
            self._part = None

    async def _complete(self, upload_id: str) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        which = {**self._where, "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
        try:
            await self._call(self._key, lambda s3: s3.complete_multipart_upload(**which))
        except BlobMissing as error:
            # Either it was swept, or the SDK sent this twice because the first answer was lost.
            if not await self._is_complete():
                raise self._gone() from error
        self._begun = None

    async def _is_complete(self) -> bool:
        try:
            found = await self._call(self._key, lambda s3: s3.head_object(**self._where))
        except BlobMissing:
            return False
        return bool(found.get("Metadata", {}).get(UPLOAD_TOKEN) == self._token)

    async def _abort(self, upload_id: str) -> None:
        which = {**self._where, "UploadId": upload_id}
        try:
            await self._call(self._key, lambda s3: s3.abort_multipart_upload(**which), timeout_s=DISCARD_TIMEOUT_S)
        except BlobMissing:
            return  # gone already: an earlier abort whose answer was lost, or a commit that took effect

    def _gone(self) -> BlobError:
        return BlobStoreUnavailable(
            f"The upload of {self._key!r} is not known to the S3 server any more: begin it anew."
        )


async def _read(part: BlobPart, read: ReadRange) -> bytes:
    data = bytearray()
    for span in part.spans:
        async for piece in read(span.key, start=span.start, length=span.length):
            data += piece
    return bytes(data)
