"""Files are finished together: what ends while the disk is at work waits, and ends by one call of a thread.

With a call for each, 16 threads woke one another for each system call of an upload: a source of 64 KiB and its sidecar
took 0.72 ms of CPU (100 in flight), together they take 0.44. In one call the files of several uploads are written, then
synced, then moved, then their directories are synced: the first sync of each kind leaves the others little to wait for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from blobs.directories import LastingDirectories, sync_directory
from blobs.durable import Failure, PendingFile, TargetExists
from blobs.writer import Tail, pieces_of

CALLS_MAX: Final = 4
"""Calls under way at a time: while one waits for the disk another one writes. The busier, the more each takes along."""

DIRECTORIES_MAX: Final = 16
"""Directories, so nearly always documents, that one call takes."""

CALL_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes that one call writes, or one file that is longer: nobody waits long for the bytes of others."""

Finish = Callable[[Sequence[PendingFile], Sequence[Tail]], Awaitable[Sequence[Failure | None]]]
"""Runs `finish_files` on a thread."""


class _Ending:
    """A file and its last bytes, and whoever waits for it."""

    __slots__ = ("ended", "file", "tail")

    def __init__(self, file: PendingFile, tail: Tail, ended: "asyncio.Future[Failure | None]") -> None:
        self.file = file
        self.tail = tail
        self.ended = ended


class Finishing:
    """Of one store. `finish` may raise; then that is what became of each file that it was given."""

    def __init__(self, finish: Finish) -> None:
        self._finish = finish
        self._waiting: dict[str, list[_Ending]] = {}
        self._is_due = False
        self._calls: set[asyncio.Task[None]] = set()

    async def add(self, file: PendingFile, tail: Tail) -> Failure | None:
        """Finishes a file; answers what went wrong. A caller who is cancelled stops neither this nor the others.

        One of which something is on the disk already goes alone: to sync it may take seconds.
        """
        if file.is_begun:
            return (await self._finish([file], [tail]))[0]
        loop = asyncio.get_running_loop()
        ending = _Ending(file, tail, loop.create_future())
        self._waiting.setdefault(file.folder, []).append(ending)
        if not self._is_due:
            self._is_due = True
            # After all that is due before it: a source and its sidecar meet here.
            loop.call_soon(self._take_up)
        return await ending.ended

    def _take_up(self) -> None:
        self._is_due = False
        while self._waiting and len(self._calls) < CALLS_MAX:
            call = asyncio.get_running_loop().create_task(self._run(self._next()))
            self._calls.add(call)
            call.add_done_callback(self._over)

    def _next(self) -> list[_Ending]:
        share = -(-len(self._waiting) // (CALLS_MAX - len(self._calls)))
        endings: list[_Ending] = []
        size_bytes = 0
        for folder in list(self._waiting)[: min(share, DIRECTORIES_MAX)]:
            size_bytes += sum(len(piece) for ending in self._waiting[folder] for piece in pieces_of(ending.tail))
            if endings and size_bytes > CALL_BYTES_MAX:
                break
            endings += self._waiting.pop(folder)
        return endings

    def _over(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            self._take_up()

    async def _run(self, endings: Sequence[_Ending]) -> None:
        try:
            failures = await self._finish([one.file for one in endings], [one.tail for one in endings])
        except asyncio.CancelledError:
            for one in endings:
                one.ended.cancel()
            raise
        except Exception as error:  # whatever it is, those who wait must hear of it
            for one in endings:
                if not one.ended.done():
                    one.ended.set_exception(error)
        else:
            for one, failure in zip(endings, failures, strict=True):
                if not one.ended.done():  # its caller was cancelled meanwhile
                    one.ended.set_result(failure)


def finish_files(
    files: Sequence[PendingFile], tails: Sequence[Tail], lasting: LastingDirectories
) -> list[Failure | None]:
    """Makes files visible and durable; answers what went wrong with each of them. Blocking."""
    made: list[str] = []
    failures = list(map(_failure, [file.write_end for file in files], map(pieces_of, tails)))
    failures = [known or _failure(file.sync) for known, file in zip(failures, files, strict=True)]

    def place(file: PendingFile) -> None:
        # What is not known is new, but for what another process made.
        file.place(made, makes_folder=not (lasting.knows(file.folder) or file.folder in made))

    failures = [known or _failure(place, file) for known, file in zip(failures, files, strict=True)]
    unsynced = {folder: _failure(sync_directory, folder) for folder in _folders(files, failures)}
    synced = [folder for folder, failure in unsynced.items() if failure is None]
    above = _failure(lambda: lasting.make_last(synced, made=made))
    return [known or unsynced[file.folder] or above for known, file in zip(failures, files, strict=True)]


def _folders(files: Sequence[PendingFile], failures: Sequence[Failure | None]) -> Iterable[str]:
    """Of the files that nothing went wrong with, each once."""
    return dict.fromkeys([file.folder for file, failure in zip(files, failures, strict=True) if failure is None])


def _failure(step: Callable[..., object], *given: object) -> Failure | None:
    try:
        step(*given)
    except (OSError, TargetExists) as error:
        return error
    return None
