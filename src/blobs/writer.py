"""The one BlobWriter: counts, hashes and batches, and hands full batches to the sink of a store."""

import asyncio
import enum
import hashlib
import io
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from blobs.errors import BlobError
from blobs.store import BlobRef, BlobWriter

HASH_INLINE_BYTES_MAX: Final = 256 * 1024
"""SHA-256 takes 0.15 ms for this much (1.7 GB/s): longer pieces would hold up every other task of the loop."""

PIECES_MAX: Final = 64
"""Of more pieces one buffer is made: a client that sends byte by byte must not cost forty times its bytes."""

SHORT_BYTES_MAX: Final = 1024 * 1024
"""What is kept in pieces: of 8 MiB the pieces, and the buffer that they are poured into, would be in memory at once."""

Batch = io.BytesIO
"""Stands at its beginning and is only read; what the S3 client sends piece by piece without another copy."""

Tail = Sequence[bytes] | Batch
"""The last bytes of a blob. Of a short one in pieces as they came, which nobody copies once more; of a longer one what
is left of its buffer."""


def pieces_of(tail: Tail) -> Sequence[bytes | memoryview]:
    """In order."""
    return [tail.getbuffer()] if isinstance(tail, Batch) else tail


class Sink(Protocol):
    """Where one blob's bytes go. Calls come one after another, except that discard() may follow a cancelled call."""

    async def append(self, batch: Batch) -> None:
        """Take a full batch; more follow. It may be read until the next call returns, then it is filled anew."""
        ...

    async def carries(self, size_bytes: int, /) -> bool:
        """Whether finish() can keep so much metadata with the blob."""
        ...

    async def finish(self, tail: Tail, sha256: str, metadata: bytes, /) -> None:
        """Take the last bytes (the whole blob if nothing was appended) and make the blob visible and durable."""
        ...

    async def discard(self) -> None:
        """Remove whatever was appended; idempotent."""
        ...


class _State(enum.Enum):
    OPEN = "open"
    BROKEN = "broken after a write that failed"
    COMMITTED = "committed"
    ABORTED = "aborted"


class BatchingWriter:
    """A BlobWriter over a sink.

    A batch goes out only when a byte beyond it arrives, so a blob of up to `batch_bytes` reaches its sink in a
    single finish(). Every batch but the last has exactly `batch_bytes` (some S3 servers insist on equal parts).
    """

    def __init__(
        self, key: str, sink: Sink, *, batch_bytes: int, hash_inline_bytes_max: int = HASH_INLINE_BYTES_MAX
    ) -> None:
        self._key = key
        self._sink = sink
        self._batch_bytes = batch_bytes
        self._hash_inline_bytes_max = hash_inline_bytes_max
        self._pieces: list[bytes] = []
        """A blob so far that is short; `_buffer` is made where it proves to be none."""
        self._buffer: io.BytesIO | None = None
        self._spare: io.BytesIO | None = None
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._state = _State.OPEN

    @property
    def size_bytes(self) -> int:
        """The bytes written so far."""
        return self._size_bytes

    @property
    def ref(self) -> BlobRef:
        """The blob that it would be if it ended here."""
        return BlobRef(key=self._key, size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; see BlobWriter.write."""
        self._leave_open()
        rest = memoryview(data).cast("B")
        if self._buffer is None and self._is_short(len(rest)):
            await self._hash(rest)
            if rest:
                self._pieces.append(data if type(data) is bytes else bytes(rest))
            self._size_bytes += len(rest)
        else:
            await self._fill(rest, self._buffer or self._pour())
        self._state = _State.OPEN

    async def carries(self, size_bytes: int) -> bool:
        """Whether the blob can carry so much metadata; see BlobWriter.carries."""
        return await self._sink.carries(size_bytes)

    async def commit(self, metadata: bytes = b"") -> BlobRef:
        """Make the blob visible and durable; see BlobWriter.commit."""
        if metadata and not await self._sink.carries(len(metadata)):
            raise BlobError(f"The blob {self._key!r} cannot carry {len(metadata):,} bytes of metadata.")
        self._leave_open()
        ref = self.ref
        await self._sink.finish(self._take_rest(), ref.sha256, metadata)
        self._state = _State.COMMITTED
        return ref

    async def abort(self) -> None:
        """Drop the blob in the making; see BlobWriter.abort."""
        if self._state in (_State.COMMITTED, _State.ABORTED):
            return
        self._state = _State.BROKEN
        self._let_go()
        await self._sink.discard()
        self._state = _State.ABORTED

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.abort()
        except BlobError as left_behind:
            if error is None:
                raise
            # The first error is the answer; that something stayed behind travels with it.
            error.add_note(f"The unfinished blob {self._key!r} could not be removed: {left_behind}")

    def _leave_open(self) -> None:
        """Refuse unless open. The state stays BROKEN until the caller succeeds, so that a cancelled or failed write
        with a hole in it can never be committed.
        """
        if self._state is not _State.OPEN:
            raise BlobError(f"The writer of {self._key!r} is {self._state.value}.")
        self._state = _State.BROKEN

    def _is_short(self, more_bytes: int) -> bool:
        bytes_max = min(self._batch_bytes, SHORT_BYTES_MAX)
        return len(self._pieces) < PIECES_MAX and self._size_bytes + more_bytes <= bytes_max

    def _pour(self) -> io.BytesIO:
        self._buffer = io.BytesIO()
        self._buffer.writelines(self._pieces)
        self._pieces = []
        return self._buffer

    async def _fill(self, rest: memoryview, buffer: io.BytesIO) -> None:
        while rest:
            if buffer.tell() == self._batch_bytes:
                buffer = await self._hand_over_batch(buffer)
            piece = rest[: self._batch_bytes - buffer.tell()]
            await self._hash(piece)
            buffer.write(piece)
            self._size_bytes += len(piece)
            rest = rest[len(piece) :]

    async def _hand_over_batch(self, batch: io.BytesIO) -> io.BytesIO:
        """Two buffers take turns: parts of 8 MiB made anew each time left 20 MB of holes behind them."""
        self._buffer = following = self._spare or io.BytesIO()
        batch.seek(0)
        await self._sink.append(batch)
        following.seek(0)  # not before: until now it may have been on its way
        self._spare = batch
        return following

    def _take_rest(self) -> Tail:
        rest: Tail = self._pieces
        if self._buffer is not None:
            rest = self._buffer
            rest.truncate()
            rest.seek(0)
        self._let_go()
        return rest

    def _let_go(self) -> None:
        self._pieces, self._buffer, self._spare = [], None, None

    async def _hash(self, piece: memoryview) -> None:
        if len(piece) <= self._hash_inline_bytes_max:
            self._digest.update(piece)
        else:
            await asyncio.to_thread(self._digest.update, piece)


async def put_whole(writer: BlobWriter, data: bytes) -> BlobRef:
    """Write and commit a blob that is already in memory."""
    async with writer:
        await writer.write(data)
        return await writer.commit()
