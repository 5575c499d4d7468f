"""Reading a directory of blobs: bytes, ranges, listings. Blocking, for the threads of `local.py`; raises OSError."""

import errno
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from blobs.store import BlobInfo

COPY_BYTES: Final = 8 * 1024 * 1024
IOVECS_MAX: Final = 1024
"""Pieces that one writev(2) takes on Linux."""

_NO_RANGES: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What copy_file_range(2) says where the file system or the kernel cannot."""

TEMPORARY_DIRECTORY: Final = ".tmp"
"""Holds blobs in the making, directly under the root; no key begins with a dot."""


class RangeReader:
    """Bytes of one file from `start` on, at most `length`. Opens with the first read and closes itself at the end."""

    def __init__(self, path: Path, start: int, length: int | None) -> None:
        self._path = path
        self._position = start
        self._left = length
        self._file: int | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def next_piece(self, piece_bytes_max: int) -> tuple[bytes, bool]:
        """Return up to this many bytes and whether that was the end. Raises FileNotFoundError."""
        with self._lock:
            if self._is_closed:
                return b"", True
            if self._file is None:
                self._file = open_regular(self._path)
            wanted = piece_bytes_max if self._left is None else min(piece_bytes_max, self._left)
            piece = _read_fully(self._file, wanted, self._position)
            self._position += len(piece)
            self._left = None if self._left is None else self._left - len(piece)
            is_end = len(piece) < piece_bytes_max or self._left == 0
            if is_end:
                self._close()
            return piece, is_end

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._is_closed = True
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        if self._file is not None:
            descriptor, self._file = self._file, None
            os.close(descriptor)


def open_regular(path: Path) -> int:
    """Open a file for reading. Raises FileNotFoundError for a directory too, and for what would lie beneath a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise _not_found(path) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _not_found(path)


def _not_found(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _read_fully(descriptor: int, length: int, position: int) -> bytes:
    """Read up to the end of the file; one os.pread may stop short (at 2 GiB, or at a signal on a network disk)."""
    pieces: list[bytes] = []
    while length and (piece := os.pread(descriptor, length, position)):
        pieces.append(piece)
        position += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def write_all(descriptor: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Bytes of an open file behind those before them, in one call of the kernel where it takes all at once."""
    rest = [memoryview(piece) for piece in pieces]
    while rest:
        written_bytes = os.writev(descriptor, rest[:IOVECS_MAX])
        while rest and written_bytes >= len(rest[0]):
            written_bytes -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][written_bytes:]


def copy_all(source: int, target: int) -> None:
    """Copy from one open file to the end of what was written to another, within the kernel where it can."""
    position = 0
    while piece_bytes := _copy_some(source, target, position):
        position += piece_bytes


def _copy_some(source: int, target: int, position: int) -> int:
    if sys.platform == "linux":
        try:
            return os.copy_file_range(source, target, COPY_BYTES, position)
        except OSError as error:
            if error.errno not in _NO_RANGES:
                raise
    piece = memoryview(os.pread(source, COPY_BYTES, position))
    rest = piece
    while rest:
        rest = rest[os.write(target, rest) :]
    return len(piece)


def read_whole(path: Path) -> bytes:
    """Return a file's bytes. Raises FileNotFoundError."""
    descriptor = open_regular(path)
    try:
        return _read_fully(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def walk(root: Path, prefix: str) -> Iterator[BlobInfo]:
    """Yield the files whose key begins with the prefix in order of key bytes; what vanishes meanwhile is left out."""
    directory, _, _ = prefix.rpartition("/")
    yield from _walk(root / directory, f"{directory}/" if directory else "", prefix)


def _walk(directory: Path, key_above: str, prefix: str) -> Iterator[BlobInfo]:
    for name, is_directory in _names(directory):
        key = f"{key_above}{name}"
        if not key.startswith(prefix) or key == f"{TEMPORARY_DIRECTORY}/":
            continue
        if is_directory:
            yield from _walk(directory / name, key, prefix)
        elif (found := file_status(directory / name)) is not None:
            yield info_of(key, found)


def _names(directory: Path) -> list[tuple[str, bool]]:
    """Name the entries in key order: a directory sorts as `name/`, because that is how its keys go on."""
    try:
        with os.scandir(directory) as entries:
            kinds = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((f"{name}/" if is_directory else name, is_directory) for name, is_directory in kinds)


def file_status(path: Path) -> os.stat_result | None:
    """Return the status of a regular file, None for everything else and for nothing."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def info_of(key: str, found: os.stat_result) -> BlobInfo:
    """Say of a file what a store says of a blob."""
    return BlobInfo(key=key, size_bytes=found.st_size, modified_at=datetime.fromtimestamp(found.st_mtime, UTC))
