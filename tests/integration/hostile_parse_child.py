"""A parse child whose parser does what hostile documents make parsers do: the document's text says what."""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))

import ctypes
import time
from collections.abc import Callable

from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from processors import parse_child


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
}


def misbehave(data: bytes, media_type: MediaType, filename: str, limits: ParseLimits) -> ParsedText:
    text = data.decode()
    if text == "write":
        Path(filename).write_bytes(b"written by a hostile document")
    if text not in MISDEEDS:
        return ParsedText(text=f"{text} (process {os.getpid()})")
    MISDEEDS[text]()
    return ParsedText(text="survived")


if __name__ == "__main__":
    parse_child.main(misbehave)
