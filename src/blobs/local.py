"""Blobs in a directory: written beside, synced, renamed into place; off the event loop on threads of its own."""

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from blobs import durable, files
from blobs.directories import LastingDirectories
from blobs.errors import BlobError, BlobExists, BlobMissing, BlobStoreFull, BlobStoreUnavailable, InvalidBlobKey
from blobs.finishing import Finishing, finish_files
from blobs.keys import check_key, check_prefix, check_range
from blobs.probe import check_by_probe
from blobs.store import BlobInfo, BlobRef
from blobs.writer import HASH_INLINE_BYTES_MAX, Batch, BatchingWriter, Tail, put_whole

BATCH_BYTES: Final = 1024 * 1024
"""What one hop to a thread carries, in and out: a hop costs about 0.1 ms, too much for each 64 KiB of a socket."""

THREADS_MAX: Final = 16
"""How many calls may wait for the disk at once: few enough not to fight for the interpreter. Small files are finished
by fewer (`finishing.py`)."""

LIST_ENTRIES_A_HOP: Final = 1000

ABANDONED_AFTER: Final = timedelta(hours=24)
"""A temporary file that did not grow for this long belongs to a process that died."""

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NESTED: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST})

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _now() -> datetime:
    return datetime.now(UTC)


class LocalBlobStore:
    """A BlobStore in one directory of a local disk, which several processes may share.

    Raises BlobStoreUnavailable or BlobStoreFull at once where the directory cannot be made or searched.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime] = _now, threads_max: int = THREADS_MAX) -> None:
        self._root = root.absolute()
        try:
            durable.prepare_root(self._root, now=clock(), abandoned_after=ABANDONED_AFTER)
        except OSError as error:
            raise _of_disk(error, self._root) from error
        self._lasting = LastingDirectories(self._root)
        self._finishing = Finishing(self._finish_together)
        self._threads = ThreadPoolExecutor(max_workers=threads_max, thread_name_prefix="blobs")
        self._is_closed = False

    def writer(self, key: str) -> BatchingWriter:
        """Begin a blob; one of up to 1 MiB costs a single hop to a thread, at commit."""
        return BatchingWriter(key, _LocalSink(self, check_key(key)), batch_bytes=BATCH_BYTES)

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob durably."""
        if len(data) > HASH_INLINE_BYTES_MAX:
            return await put_whole(self.writer(key), data)
        # Most are sidecars and texts of some hundred bytes: a writer of its own takes as long as all the rest.
        file = self.pending_file(check_key(key), is_new=False)
        try:
            await self.finish(key, file, [data])
        except asyncio.CancelledError:
            with suppress(BlobError):  # what stays behind is swept some day; the caller is to learn of its cancellation
                await self.run(key, file.discard)
            raise
        return BlobRef(key=key, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def put_new(self, key: str, data: bytes) -> BlobRef:
        """Store a whole blob durably where there is none. Raises BlobExists."""
        sink = _LocalSink(self, check_key(key), is_new=True)
        try:
            return await put_whole(BatchingWriter(key, sink, batch_bytes=BATCH_BYTES), data)
        except durable.TargetExists:
            raise BlobExists(key) from None

    async def get(self, key: str) -> bytes:
        """Return a whole blob. Raises BlobMissing."""
        return await self.run(key, files.read_whole, self._path(key))

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the range in pieces of up to 1 MiB."""
        check_range(start, length)
        reader = files.RangeReader(self._path(key), start, length)
        is_end = False
        try:
            while not is_end:
                piece, is_end = await self.run(key, reader.next_piece, BATCH_BYTES)
                if piece:
                    yield piece
        finally:
            if not is_end:
                self._close_later(reader)

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        """Make one blob of others; the kernel copies, or shares the blocks where the file system can."""
        file = self.pending_file(check_key(to), is_new=False)
        try:
            for key, _ in sources:
                await self.run(key, file.append_file, self._path(key))
            await self.finish(to, file, ())
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self.run(to, file.discard)))
            raise

    async def stat(self, key: str) -> BlobInfo | None:
        """Return what is known of a blob."""
        found = await self.run(key, files.file_status, self._path(key))
        return files.info_of(key, found) if found else None

    async def metadata(self, key: str) -> bytes | None:
        """A file carries nothing but its bytes."""
        check_key(key)
        return None

    async def delete(self, key: str) -> bool:
        """Delete a blob durably; False when there was none."""
        return await self.run(key, durable.remove_file, self._root, self._path(key), self._lasting)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every blob whose key begins with the prefix, durably, in one hop."""
        if not prefix:
            raise InvalidBlobKey(prefix, "an empty prefix would erase the whole store")
        return await self.run(prefix, durable.remove_under, self._root, check_prefix(prefix), self._lasting)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield what begins with the prefix, a thousand a hop."""
        found = files.walk(self._root, check_prefix(prefix))
        while infos := await self.run(prefix, _take, found):
            for info in infos:
                yield info

    async def check(self) -> None:
        """Write, read and delete a probe."""
        await check_by_probe(self, advice=f"Make {self._root} a writable directory on a disk with free space.")

    async def abort_abandoned_uploads(self, *, older_than: timedelta, now: datetime) -> int:
        """Remove temporary files that did not grow for that long."""
        return await self.run("", durable.sweep_temporary, self._root, oldest=now - older_than)

    async def close(self) -> None:
        """Let running calls end and stop the threads."""
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)

    def pending_file(self, key: str, *, is_new: bool) -> durable.PendingFile:
        """Prepare the file of a blob in the making, whose key was checked; nothing is on the disk yet."""
        return durable.PendingFile(self._root, key, is_new=is_new)

    async def finish(self, key: str, file: durable.PendingFile, tail: Tail) -> None:
        """Make a blob visible and durable, together with others that end in the same moment."""
        failure = await self._finishing.add(file, tail)
        if isinstance(failure, OSError):
            raise _translated(failure, key, self._root) from failure
        if failure is not None:
            raise failure

    async def _finish_together(
        self, files: Sequence[durable.PendingFile], tails: Sequence[Tail]
    ) -> Sequence[durable.Failure | None]:
        return await self.run("", finish_files, files, tails, self._lasting)

    async def run(self, key: str, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a blocking call on a thread and translate its errors.

        A cancelled caller does not stop the call: a thread cannot be interrupted in the middle of a write, and one
        taken out of the queue would leave its file open.
        """
        if self._is_closed:
            raise BlobStoreUnavailable("The blob store is closed.")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_T] = loop.create_future()
        self._threads.submit(_call_and_tell, partial(call, *args, **kwargs), loop, ended)
        try:
            return await ended
        except OSError as error:
            raise _translated(error, key, self._root) from error

    def _close_later(self, reader: files.RangeReader) -> None:
        if self._is_closed:
            reader.close()
        else:
            self._threads.submit(reader.close)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


class _LocalSink:
    def __init__(self, store: LocalBlobStore, key: str, *, is_new: bool = False) -> None:
        self._store = store
        self._key = key
        self._file = store.pending_file(key, is_new=is_new)

    async def append(self, batch: Batch) -> None:
        await self._store.run(self._key, self._file.append, batch)

    async def carries(self, _size_bytes: int, /) -> bool:
        """Extended attributes get lost on most ways that copies of a directory take."""
        return False

    async def finish(self, tail: Tail, _sha256: str, _metadata: bytes, /) -> None:
        await self._store.finish(self._key, self._file, tail)

    async def discard(self) -> None:
        await self._store.run(self._key, self._file.discard)


def _call_and_tell(call: Callable[[], _T], loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[_T]") -> None:
    """On a thread. A future of the loop's own, where `wrap_future` and `shield` would be four, chained."""
    try:
        result = call()
    except BaseException as error:
        loop.call_soon_threadsafe(_fail, ended, error)
    else:
        loop.call_soon_threadsafe(_succeed, ended, result)


def _fail(ended: "asyncio.Future[_T]", error: BaseException) -> None:
    if not ended.done():  # its caller was cancelled meanwhile
        ended.set_exception(error)


def _succeed(ended: "asyncio.Future[_T]", result: _T) -> None:
    if not ended.done():
        ended.set_result(result)


def _take(found: Iterator[BlobInfo]) -> tuple[BlobInfo, ...]:
    return tuple(islice(found, LIST_ENTRIES_A_HOP))


def _translated(error: OSError, key: str, root: Path) -> BlobError:
    if error.errno in _NESTED:
        return InvalidBlobKey(key, "another blob lies above or beneath it")
    if isinstance(error, FileNotFoundError) and error.filename == str(root / key):
        return BlobMissing(key)
    return _of_disk(error, root)


def _of_disk(error: OSError, root: Path) -> BlobError:
    if error.errno in _NO_SPACE:
        return BlobStoreFull(f"No space is left for blobs in {root}.")
    return BlobStoreUnavailable(f"The blob directory {root} failed: {error.strerror or error}.")
