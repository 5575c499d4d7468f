"""Pure: reads the streams of an OLE2 compound file ([MS-CFB]), as much as the attachments of a mail need."""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

_HEADER_BYTES: Final = 512
_ENTRY_BYTES: Final = 128
_SECTOR_MAX: Final = 0xFFFFFFFA
"""Numbers from here on mean: end of the chain, free, or used by the tables themselves."""
_NOBODY: Final = 0xFFFFFFFF
_STORAGE: Final = 1
_STREAM: Final = 2
_MINI_SECTOR_BYTES: Final = 64
_MINI_STREAM_BYTES_MAX: Final = 4_096
_HEADER_DIFAT: Final = 109


class CompoundFileDamaged(Exception):
    """The file contradicts itself."""


class _Entry(msgspec.Struct, frozen=True):
    name: str
    kind: int
    left: int
    right: int
    child: int
    start: int
    size_bytes: int


class CompoundFile:
    """A compound file in memory. Every method raises CompoundFileDamaged; none reads a sector twice for one stream."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER_BYTES:
            raise CompoundFileDamaged("no header")
        (shift,) = struct.unpack_from("<H", data, 30)
        (directory,) = struct.unpack_from("<I", data, 48)
        (mini_table,) = struct.unpack_from("<I", data, 60)
        if shift not in (9, 12):
            raise CompoundFileDamaged(f"sectors of 2^{shift} bytes")
        self._data = data
        self._sector_bytes = 1 << shift
        self._table = self._words(b"".join(map(self._sector, self._table_sectors())))
        self._entries = [*_entries_of(b"".join(self._chain(directory)))]
        if not self._entries:
            raise CompoundFileDamaged("no directory")
        self._mini_table = self._words(b"".join(self._chain(mini_table)))
        self._mini_stream: bytes | None = None

    def storages(self) -> dict[str, dict[str, int]]:
        """The storages at the top, each with its streams by name; read one with `stream`."""
        found: dict[str, dict[str, int]] = {}
        for number in self._children(0):
            entry = self._entries[number]
            if entry.kind == _STORAGE:
                inner = self._children(number)
                found[entry.name] = {
                    self._entries[one].name: one for one in inner if self._entries[one].kind == _STREAM
                }
        return found

    def stream(self, number: int) -> bytes:
        """The bytes of the stream with that number in the directory."""
        entry = self._entries[number]
        if entry.size_bytes > len(self._data):
            raise CompoundFileDamaged("a stream is larger than the file")
        if entry.size_bytes < _MINI_STREAM_BYTES_MAX:
            return b"".join(self._mini_chain(entry.start))[: entry.size_bytes]
        return b"".join(self._chain(entry.start))[: entry.size_bytes]

    def _children(self, number: int) -> list[int]:
        """The entries right below entry `number`, in the order of their names."""
        found: list[int] = []
        seen: set[int] = set()
        pending = [self._entries[number].child]
        while pending:
            current = pending.pop()
            if current == _NOBODY:
                continue
            if current in seen or current >= len(self._entries):
                raise CompoundFileDamaged("the directory leads back to itself or out of the file")
            seen.add(current)
            found.append(current)
            pending += [self._entries[current].left, self._entries[current].right]
        return sorted(found, key=lambda one: self._entries[one].name)

    def _table_sectors(self) -> list[int]:
        """The sectors of the allocation table: the first 109 in the header, the others in a chain."""
        numbers = list(struct.unpack_from(f"<{_HEADER_DIFAT}I", self._data, 76))
        (following,) = struct.unpack_from("<I", self._data, 68)
        seen: set[int] = set()
        while following < _SECTOR_MAX:
            if following in seen:
                raise CompoundFileDamaged("the list of tables leads back to itself")
            seen.add(following)
            words = self._words(self._sector(following))
            numbers += words[:-1]
            following = words[-1] if words else _SECTOR_MAX
        return [number for number in numbers if number < _SECTOR_MAX]

    def _chain(self, number: int) -> Iterator[bytes]:
        for sector in _followed(number, self._table):
            yield self._sector(sector)

    def _mini_chain(self, number: int) -> Iterator[bytes]:
        if self._mini_stream is None:
            self._mini_stream = b"".join(self._chain(self._entries[0].start))
        for sector in _followed(number, self._mini_table):
            yield self._mini_stream[sector * _MINI_SECTOR_BYTES : (sector + 1) * _MINI_SECTOR_BYTES]

    def _sector(self, number: int) -> bytes:
        start = (number + 1) * self._sector_bytes
        if start >= len(self._data):
            raise CompoundFileDamaged("a sector lies behind the end of the file")
        return self._data[start : start + self._sector_bytes]

    def _words(self, sectors: bytes) -> tuple[int, ...]:
        return struct.unpack(f"<{len(sectors) // 4}I", sectors[: len(sectors) // 4 * 4])


def _followed(number: int, table: tuple[int, ...]) -> Iterator[int]:
    seen: set[int] = set()
    while number < _SECTOR_MAX:
        if number in seen or number >= len(table):
            raise CompoundFileDamaged("a chain leads back to itself or out of the file")
        seen.add(number)
        yield number
        number = table[number]


def _entries_of(directory: bytes) -> Iterator[_Entry]:
    for at in range(0, len(directory) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        (name_bytes, kind) = struct.unpack_from("<HB", directory, at + 64)
        left, right, child = struct.unpack_from("<III", directory, at + 68)
        start, size_bytes = struct.unpack_from(
            "<II", directory, at + 116
        )  # the upper half of the size is zero or noise
        name = directory[at : at + max(0, min(name_bytes, 64) - 2)].decode("utf-16-le", "replace")
        yield _Entry(name=name, kind=kind, left=left, right=right, child=child, start=start, size_bytes=size_bytes)
