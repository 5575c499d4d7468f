"""Blobs in a dictionary: the reference semantics, for tests and for the simulation (no threads, no real time)."""

import bisect
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from blobs.errors import BlobExists, BlobMissing, BlobStoreUnavailable, InvalidBlobKey
from blobs.keys import check_key, check_prefix, check_range
from blobs.probe import check_by_probe
from blobs.store import METADATA_BYTES_MAX, BlobInfo, BlobRef
from blobs.writer import Batch, BatchingWriter, Tail, pieces_of, put_whole


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryBlobStore:
    """A BlobStore that forgets everything when the process ends.

    Refuses a key beneath another one as a directory does, so that what works here works everywhere.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _now, metadata_bytes_max: int = METADATA_BYTES_MAX) -> None:
        self._clock = clock
        self.metadata_bytes_max: Final = metadata_bytes_max
        self._blobs: dict[str, tuple[bytes, datetime]] = {}
        self._metadata: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._is_closed = False

    def writer(self, key: str) -> BatchingWriter:
        """Begin a blob."""
        sink = _MemorySink(self, check_key(key))
        return BatchingWriter(key, sink, batch_bytes=sys.maxsize, hash_inline_bytes_max=sys.maxsize)

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob."""
        return await put_whole(self.writer(key), data)

    async def put_new(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob where there is none. Raises BlobExists."""
        if await self.stat(key) is not None:
            raise BlobExists(key)
        return await self.put(key, data)

    async def get(self, key: str) -> bytes:
        """Return a whole blob. Raises BlobMissing."""
        return self._find(key)[0]

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the range in one piece."""
        check_range(start, length)
        data, _ = self._find(key)
        piece = data[start:] if length is None else data[start : start + length]
        if piece:
            yield piece

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        """Make one blob of others."""
        check_key(to)
        await self.put(to, b"".join([self._find(key)[0] for key, _ in sources]))

    async def stat(self, key: str) -> BlobInfo | None:
        """Return what is known of a blob."""
        self._require_open()
        return self._info(check_key(key))

    async def metadata(self, key: str) -> bytes | None:
        """Return what a blob carries besides its bytes."""
        self._require_open()
        return self._metadata.get(check_key(key))

    async def delete(self, key: str) -> bool:
        """Delete a blob; False when there was none."""
        self._require_open()
        self._metadata.pop(check_key(key), None)
        if self._blobs.pop(check_key(key), None) is None:
            return False
        del self._keys[bisect.bisect_left(self._keys, key)]
        return True

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every blob whose key begins with the prefix."""
        self._require_open()
        if not prefix:
            raise InvalidBlobKey(prefix, "an empty prefix would erase the whole store")
        doomed = self._under(check_prefix(prefix))
        for key in doomed:
            await self.delete(key)
        return len(doomed)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield what begins with the prefix, as it was at the first iteration."""
        self._require_open()
        for key in self._under(check_prefix(prefix)):
            if info := self._info(key):
                yield info

    async def check(self) -> None:
        """Write, read and delete a probe."""
        await check_by_probe(self, advice="Open a new store.")

    async def close(self) -> None:
        """Refuse every later call."""
        self._is_closed = True

    async def abort_abandoned_uploads(self, *, older_than: timedelta, now: datetime) -> int:  # noqa: ARG002  nothing to judge
        """A writer that died took what it had with it."""
        self._require_open()
        return 0

    def keep(self, key: str, data: bytes, metadata: bytes = b"") -> None:
        """Make a blob visible; the one place where the dictionary grows."""
        self._require_open()
        if key not in self._blobs:
            self._refuse_nesting(key)
            bisect.insort(self._keys, key)
        self._blobs[key] = (data, self._clock())
        self._metadata.pop(key, None)
        if metadata:
            self._metadata[key] = metadata

    def _refuse_nesting(self, key: str) -> None:
        segments = key.split("/")
        ancestors = ("/".join(segments[:count]) for count in range(1, len(segments)))
        if any(ancestor in self._blobs for ancestor in ancestors) or self._under(f"{key}/"):
            raise InvalidBlobKey(key, "another blob lies above or beneath it")

    def _under(self, prefix: str) -> Sequence[str]:
        first = bisect.bisect_left(self._keys, prefix)
        behind = bisect.bisect_left(self._keys, f"{prefix}\x7f", lo=first)  # no key holds a character this high
        return self._keys[first:behind]

    def _find(self, key: str) -> tuple[bytes, datetime]:
        self._require_open()
        found = self._blobs.get(check_key(key))
        if found is None:
            raise BlobMissing(key)
        return found

    def _info(self, key: str) -> BlobInfo | None:
        found = self._blobs.get(key)
        return BlobInfo(key=key, size_bytes=len(found[0]), modified_at=found[1]) if found else None

    def _require_open(self) -> None:
        if self._is_closed:
            raise BlobStoreUnavailable("The blob store is closed.")


class _MemorySink:
    def __init__(self, store: MemoryBlobStore, key: str) -> None:
        self._store = store
        self._key = key
        self._batches: list[bytes] = []

    async def append(self, batch: Batch) -> None:
        self._batches.append(batch.getvalue())

    async def carries(self, size_bytes: int, /) -> bool:
        return size_bytes <= self._store.metadata_bytes_max

    async def finish(self, tail: Tail, _sha256: str, metadata: bytes, /) -> None:
        self._store.keep(self._key, b"".join([*self._batches, *pieces_of(tail)]), metadata)

    async def discard(self) -> None:
        self._batches.clear()
