"""A parse child whose parser does what hostile documents make parsers do: the document's text says what."""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))

import ctypes
import signal
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.text import OWN_PARSER, ParsedText
from processors import parse_child

FORKS: Final = 20
ORPHAN_S: Final = 120
IN_PYTHON: Final = "in Python"
"""What begins so passes for a text that no native parser has seen."""


def _hoard() -> None:
    hoard = [bytearray(16 * 1024 * 1024) for _ in range(1_000)]
    hoard.clear()


def _abort_for_memory() -> None:
    sys.stderr.write("memory allocation of 1073741824 bytes failed\n")
    sys.stderr.flush()
    os.abort()


def _spin() -> None:
    while True:
        pass


def _raise() -> None:
    raise KeyError("an error that nobody expected")


def _print() -> None:
    print("a library that prints")
    os.write(1, b"\x00\x00\x00\x05junk")


def _fork() -> bool:
    """True in the parent; what it bears sleeps on."""
    if os.fork() == 0:
        time.sleep(ORPHAN_S)
        os._exit(0)
    return True


def _fork_many() -> None:
    """A bounded bomb: what counts is that nobody survives, not that the machine does."""
    for _ in range(FORKS):
        _fork()
    _spin()


def _leave_an_orphan() -> None:
    _fork()
    ctypes.string_at(0)


def _babble() -> None:
    """Into every pipe that it finds but the one that documents come through; that of the answers is among them."""
    pipes = {descriptor: inode for descriptor in range(3, 64) if (inode := _pipe(descriptor))}
    requests = pipes[min(pipes)]
    while True:
        for descriptor, inode in pipes.items():
            if inode != requests:
                with suppress(OSError):
                    os.write(descriptor, b"x" * 65_536)


def _pipe(descriptor: int) -> int:
    """Its inode, 0 for what is no pipe and no socket."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return 0
    return found.st_ino if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode) else 0


MISDEEDS: dict[str, Callable[[], object]] = {
    "memory": _hoard,
    "native memory": _abort_for_memory,
    "spin": _spin,
    "sleep": lambda: time.sleep(60),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "raise": _raise,
    "print": _print,
    "noise": lambda: os.write(2, b"x" * 1_000_000),
    "abort": os.abort,
    "fork": _fork_many,
    "orphan": _leave_an_orphan,
    "babble": _babble,
    "kill the worker": lambda: os.kill(os.getppid(), signal.SIGKILL),
}


def misbehave(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits) -> ParsedText:
    text = data.decode()
    if text == "write":
        Path(filename).write_bytes(b"written by a hostile document")
    if text not in MISDEEDS:
        parser = OWN_PARSER if text.startswith(IN_PYTHON) else "native"
        return ParsedText(text=f"{text} (process {os.getpid()})", parser=parser)
    MISDEEDS[text]()
    return ParsedText(text="survived")


if __name__ == "__main__":
    parse_child.main(misbehave)
