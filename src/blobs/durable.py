"""Files that are there after a power cut, or not at all. Blocking calls for the threads of `local.py`; raises OSError.

<root>/<key>         one blob; a key's segments are directories, so a key beneath another is refused
<root>/.tmp/<random> one blob in the making; no key begins with a dot
"""

import errno
import io
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from blobs.directories import LastingDirectories, above, sync_directory
from blobs.files import TEMPORARY_DIRECTORY, copy_all, file_status, open_regular, walk, write_all
from blobs.writeback import begin_writing

PLACE_ATTEMPTS_MAX: Final = 10
"""A delete that prunes an empty directory can pull it away from under a writer; each attempt makes it anew. Sixteen
writers and deleters of one directory needed two attempts at most in 3,200 calls."""


_OWN_NAME: Final = secrets.token_hex(8)
_numbers: Final = count()
"""Of the files in the making of this process. A name of random bytes for each would be a system call for each."""

_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


_T = TypeVar("_T")


class TargetExists(Exception):
    """A blob that was to be a new one has its place taken."""


Failure = OSError | TargetExists
"""What may go wrong with a file that is to be finished."""


class PendingFile:
    """One blob in the making. A cancelled caller leaves its call running in a thread, hence the lock and the flag:
    a discard waits for the call before it, and a call that starts after a discard does nothing.
    """

    def __init__(self, root: Path, key: str, *, is_new: bool = False) -> None:
        self._root = str(root)
        self._is_new = is_new
        self._target = f"{self._root}/{key}"
        self.folder: Final = above(self._target)
        """Where it is to lie."""
        self._temporary: str | None = None
        self._file: int | None = None
        self._lock = threading.Lock()
        self._is_discarded = False

    @property
    def is_begun(self) -> bool:
        """Whether bytes of it are on the disk already."""
        return self._temporary is not None

    def append(self, batch: io.BytesIO) -> None:
        """Write a batch behind those before it."""
        with self._lock:
            write_all(self._open(), [batch.getbuffer()])

    def append_file(self, source: Path) -> None:
        """Write a whole file behind what is there. Raises FileNotFoundError."""
        with self._lock:
            target = self._open()
            descriptor = open_regular(source)
            try:
                copy_all(descriptor, target)
            finally:
                os.close(descriptor)

    def write_end(self, tail: Sequence[bytes | memoryview]) -> None:
        """Write the last bytes, and have the disk begin with them. Where this or what follows fails, nothing stays."""

        def write() -> None:
            write_all(self._open(), tail)
            begin_writing(self._open())

        self._or_remove(write)

    def sync(self) -> None:
        """Wait until the disk has them."""
        self._or_remove(self._sync_and_close)

    def place(self, made: list[str], *, makes_folder: bool) -> None:
        """Move the file to its place, with `makes_folder` behind making that; the directories that had to be made are
        noted in `made`."""
        self._or_remove(lambda: self._move_to_target(made, makes_folder=makes_folder))

    def discard(self) -> None:
        """Remove what was written; idempotent."""
        self._is_discarded = True
        with self._lock:
            self._remove()

    def _or_remove(self, step: Callable[[], _T]) -> _T:
        with self._lock:
            try:
                return step()
            except (OSError, TargetExists):
                self._remove()
                raise

    def _open(self) -> int:
        if self._file is None:
            self._refuse_if_discarded()
            name = f"{self._root}/{TEMPORARY_DIRECTORY}/{_OWN_NAME}-{os.getpid()}-{next(_numbers)}"
            self._file, self._temporary = os.open(name, _NEW_FILE, 0o600), name
        return self._file

    def _sync_and_close(self) -> None:
        if self._file is not None:
            os.fsync(self._file)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            descriptor, self._file = self._file, None
            os.close(descriptor)

    def _move_to_target(self, made: list[str], *, makes_folder: bool) -> None:
        self._refuse_if_discarded()  # ahead of the folder: nobody would remove an empty one
        if self._temporary is None:
            return
        if makes_folder:
            with suppress(FileNotFoundError):  # somebody removed the one above meanwhile: it is made again below
                make_directory(self.folder, made)
        move_into_place(self._temporary, self._target, made, is_new=self._is_new)
        self._temporary = None

    def _remove(self) -> None:
        self._close()
        if self._temporary is not None:
            Path(self._temporary).unlink(missing_ok=True)
            self._temporary = None

    def _refuse_if_discarded(self) -> None:
        if self._is_discarded:
            raise OSError(errno.ECANCELED, "the blob was given up", self._target)


def move_into_place(temporary: str, target: str, made: list[str], *, is_new: bool = False) -> None:
    """Rename over whatever is at the target; the directories above it that had to be made are noted in `made`.

    With `is_new` nothing may be there: a link is made where a rename would replace, and the old name taken away.
    Raises TargetExists, NotADirectoryError where a blob lies above the target, IsADirectoryError where blobs lie
    beneath.
    """
    for attempt in range(1, PLACE_ATTEMPTS_MAX + 1):
        try:
            if attempt > 1:
                make_directory(above(target), made)
            if is_new:
                _link(temporary, target)
            else:
                os.rename(temporary, target)  # noqa: PTH104  # a text, as in directories.py
        except (FileNotFoundError, FileExistsError):
            if attempt == PLACE_ATTEMPTS_MAX:
                raise
        except IsADirectoryError:
            if attempt == PLACE_ATTEMPTS_MAX or not _remove_if_empty(Path(target)):
                raise
        else:
            return
    raise AssertionError("the last attempt returns or raises")


def make_directory(directory: str, made: list[str]) -> None:
    """With those above it; each that was not there is noted."""
    try:
        os.mkdir(directory, 0o700)  # noqa: PTH102  # a text, as in directories.py
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directory(above(directory), made)
        Path(directory).mkdir(mode=0o700, exist_ok=True)
    made.append(directory)


def _link(temporary: str, target: str) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        if Path(target).is_dir():
            raise IsADirectoryError(errno.EISDIR, "blobs lie beneath", target) from None
        raise TargetExists(target) from None
    Path(temporary).unlink()


def remove_file(root: Path, path: Path, lasting: LastingDirectories) -> bool:
    """Delete one file durably and the directories that it leaves empty; False when there was none."""
    if not path.is_file():
        return False
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_directory(str(path.parent))
    _prune(path.parent, up_to=root, lasting=lasting)
    return True


def remove_under(root: Path, prefix: str, lasting: LastingDirectories) -> int:
    """Delete every file whose key begins with the prefix; each directory is synced once, not once a file."""
    removed = 0
    parents: set[Path] = set()
    for found in walk(root, prefix):
        path = root / found.key
        path.unlink(missing_ok=True)
        parents.add(path.parent)
        removed += 1
    for parent in sorted(parents, reverse=True):
        sync_directory(str(parent))
        _prune(parent, up_to=root, lasting=lasting)
    return removed


def _prune(directory: Path, *, up_to: Path, lasting: LastingDirectories) -> None:
    """Removes it and those above that are empty; but those right below the root stay.

    Writers share them. One made anew by another process is new to nobody else: whoever puts a blob into it before that
    process has synced the root believes it to be lasting, and a power cut takes the blob along.
    """
    for candidate in (directory, *directory.parents):
        if up_to in (candidate, candidate.parent):
            return
        lasting.forget(str(candidate))  # ahead of it as well: one that is made anew meanwhile is new to all
        if not _remove_if_empty(candidate):
            return
        lasting.forget(str(candidate))


def _remove_if_empty(directory: Path) -> bool:
    """Remove a directory; False when something is in it, True also when another caller was faster."""
    try:
        directory.rmdir()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def prepare_root(root: Path, *, now: datetime, abandoned_after: timedelta) -> int:
    """Make the directories and remove the temporary files of writers that died; return how many there were.

    A file still growing keeps a young time of change, so a slow upload of days is not swept.
    """
    temporary_directory = root / TEMPORARY_DIRECTORY
    there_before = next(path for path in (temporary_directory, *temporary_directory.parents) if path.exists())
    temporary_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in (temporary_directory, *temporary_directory.parents):
        sync_directory(str(directory))
        if directory == there_before:
            break
    return sweep_temporary(root, oldest=now - abandoned_after)


def sweep_temporary(root: Path, *, oldest: datetime) -> int:
    """Remove temporary files that were changed before `oldest` for the last time; return how many there were."""
    removed = 0
    for path in (root / TEMPORARY_DIRECTORY).iterdir():
        found = file_status(path)
        if found is not None and found.st_mtime < oldest.timestamp():
            path.unlink(missing_ok=True)
            removed += 1
    return removed
