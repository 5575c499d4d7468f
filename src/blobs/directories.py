"""Syncs of directories, as few as make a rename last. Blocking, for the threads of `local.py`; raises OSError.

Directories are named by the text of their absolute paths: taking `Path`s apart and putting them together again took
3,600 steps of the interpreter an upload, a seventh of all.

A new file is there after a power cut once its directory is synced; a new directory, once the one above it is. Measured
on ext4 with 10 uploads in flight beside busy workers: eight syncs an upload kept Redis, on the same disk, waiting 10 ms
for its own; what is below makes that three, and one more for all that end by the same call.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

KNOWN_MAX: Final = 10_000
"""Directories remembered as lasting, the least recently used go first; about 200 bytes each."""


class LastingDirectories:
    """What one process knows of the directories under a root: which of them a power cut leaves."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._guard = threading.Lock()
        self._lasting: OrderedDict[str, None] = OrderedDict()

    def knows(self, directory: str) -> bool:
        """Whether it is there, as far as this process knows."""
        return directory in self._lasting

    def make_last(self, directories: Iterable[str], *, made: Iterable[str]) -> None:
        """Syncs those above directories that were synced themselves, as far as they may be new.

        `made` were made just now, whatever is remembered of earlier ones of their names.
        """
        for new in made:
            self.forget(new)
        children = self._may_be_new(directories)
        while children:
            parents = list(dict.fromkeys([above(child) for child in children]))
            for parent in parents:
                sync_directory(parent)
            self._remember(children)
            children = self._may_be_new(parents)

    def forget(self, directory: str) -> None:
        """The directory was removed; the next of its name is new."""
        with self._guard:
            self._lasting.pop(directory, None)

    def _may_be_new(self, directories: Iterable[str]) -> list[str]:
        with self._guard:
            return [one for one in directories if one != self._root and not self._is_lasting(one)]

    def _is_lasting(self, directory: str) -> bool:
        if directory not in self._lasting:
            return False
        self._lasting.move_to_end(directory)
        return True

    def _remember(self, directories: Iterable[str]) -> None:
        with self._guard:
            self._lasting.update(dict.fromkeys(directories))
            while len(self._lasting) > KNOWN_MAX:
                self._lasting.popitem(last=False)


def above(path: str) -> str:
    """The directory that an absolute path lies in."""
    return path.rpartition("/")[0]


def sync_directory(directory: str) -> None:
    """One that is gone was pruned by a delete that followed at once: what was in it is gone by somebody's wish."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
