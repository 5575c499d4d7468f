"""Pure: one range of bytes of a whole (RFC 9110, section 14)."""

import re
from typing import Final

import msgspec

_ONE_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """Bytes `start` (from 0) to `end` (not included)."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Unsatisfiable(Exception):
    """The range begins behind the end."""


def part_of(header: str | None, size_bytes: int) -> Part | None:
    """The part that is asked for; None for the whole, which also answers several ranges and what is no range.

    Raises Unsatisfiable.
    """
    found = None if header is None else _ONE_RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size_bytes - int(found[2])), size_bytes
    else:
        start, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size_bytes, size_bytes)
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return Part(start, end)
