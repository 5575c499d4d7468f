"""The BlobStore protocol: what the rest of the product may ask of the place that keeps bytes."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

METADATA_BYTES_MAX: Final = 1_400
"""What a blob may carry besides its bytes. S3 takes 2 kB of names and values, of ASCII alone: 1,868 as base64, beside
the digest's 81 and a name of 29."""


class BlobRef(msgspec.Struct, frozen=True):
    """A blob that is durably there: its key, its length and its SHA-256 in lower-case hex."""

    key: str
    size_bytes: int
    sha256: str


class BlobInfo(msgspec.Struct, frozen=True):
    """What a store knows of a blob without reading it; `modified_at` is aware UTC."""

    key: str
    size_bytes: int
    modified_at: datetime


class BlobWriter(Protocol):
    """A blob in the making; nothing is visible under its key until commit() returns.

    An async context manager: leaving it without commit aborts, and an aborted blob leaves nothing behind (no
    temporary file, no open multipart upload). One task uses a writer at a time. A commit that fails or is
    cancelled half-way may or may not have taken effect; what is there is then the whole new blob or the old one.
    """

    @property
    def size_bytes(self) -> int:
        """The bytes written so far."""
        ...

    @property
    def ref(self) -> BlobRef:
        """The blob that it would be if it ended here; there is none before commit() returns."""
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes, counted and hashed; the caller may reuse its buffer afterwards.

        Raises BlobStoreUnavailable, BlobStoreFull, and BlobError after a commit, an abort or a failed write.
        """
        ...

    async def carries(self, size_bytes: int) -> bool:
        """Whether commit() can let the blob carry so much metadata: never in a directory, nor where it goes up in
        parts.
        """
        ...

    async def commit(self, metadata: bytes = b"") -> BlobRef:
        """Make the blob visible, replacing what was there; it is durable when this returns, and so is its metadata.

        Raises BlobStoreUnavailable, BlobStoreFull, InvalidBlobKey where the key lies beneath another blob, and
        BlobError as write() does and for metadata that it does not carry.
        """
        ...

    async def abort(self) -> None:
        """Drop the blob in the making; does nothing after a commit or an earlier abort.

        Raises BlobStoreUnavailable where what was written could not be removed.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """A place that keeps bytes under keys; `keys.check_key` says what a key is.

    Every method may raise InvalidBlobKey, BlobStoreUnavailable and BlobError, every writing one BlobStoreFull too.
    A key beneath another (`a/b` where `a` is a blob) is kept or refused with InvalidBlobKey, as the store can.
    """

    def writer(self, key: str) -> BlobWriter:
        """Begin a blob; I/O starts with the first full batch or with commit()."""
        ...

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob durably, replacing what was there; a reader sees the old or the new one."""
        ...

    async def put_new(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob durably where there is none. Raises BlobExists; of several callers one succeeds.

        An S3 server that ignores conditions (found out by a probe) is asked first instead: there, whoever calls has to
        make sure that nobody else does.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Return a whole blob. Raises BlobMissing."""
        ...

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start`, at most `length` of them, in pieces of the store's choosing.

        A range that begins behind the end is empty. Raises BlobMissing at the first iteration, ValueError for a
        negative start or length.
        """
        ...

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        """Make one blob of others (key and bytes of each) in order, durably, replacing what was there.

        Where the store can, the bytes do not come here. The sources stay. Raises BlobMissing; then, and after any other
        error, nothing is left of the new one, or it is whole.
        """
        ...

    async def stat(self, key: str) -> BlobInfo | None:
        """Return what is known of a blob, None where there is none."""
        ...

    async def metadata(self, key: str) -> bytes | None:
        """Return what a blob carries besides its bytes; None where that is nothing, or there is no such blob."""
        ...

    async def delete(self, key: str) -> bool:
        """Delete a blob; False when there was none."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every blob whose key begins with the prefix and return how many there were.

        Blobs that are written meanwhile may survive. An empty prefix is refused with InvalidBlobKey: one lost
        variable must not erase a whole store.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield the blobs whose key begins with the prefix, in ascending order of key bytes."""
        ...

    async def check(self) -> None:
        """Write, read and delete a probe. Raises BlobStoreUnavailable with a sentence saying what to do."""
        ...

    async def close(self) -> None:
        """Release threads and connections; idempotent. Every later call raises BlobStoreUnavailable."""
        ...


class CollectableBlobs(BlobStore, Protocol):
    """A store from which the remains of writers that died can be taken out."""

    async def abort_abandoned_uploads(self, *, older_than: timedelta, now: datetime) -> int:
        """Drop blobs in the making that nobody has written to for that long; return how many there were."""
        ...
