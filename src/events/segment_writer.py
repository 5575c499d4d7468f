"""Packing a segment of the archive: the other half of `segment.py`."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from events.archive import SegmentEntry, segment_key
from events.compression import compress
from events.segment import (
    BLOCK_BYTES_FULL,
    BLOCK_EVENTS_MAX,
    FORMAT,
    MAGIC,
    PREFIX_BYTES,
    Block,
    Entry,
    Head,
    Header,
    Origin,
    check_order,
)

_encoder = msgspec.msgpack.Encoder()


class Encoded(msgspec.Struct, frozen=True):
    """A segment's bytes and its line of the manifest."""

    entry: SegmentEntry
    data: bytes


class SegmentWriter:
    """Packs blocks as they come, so that no more than the packed segment is ever in memory."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._blocks: list[Block] = []
        self._packed: list[bytes] = []
        self._size_bytes = 0
        self._first: Entry | None = None
        self._last: Entry | None = None

    @property
    def last(self) -> Entry | None:
        return self._last

    @property
    def count(self) -> int:
        return sum(block.count for block in self._blocks)

    @property
    def raw_bytes(self) -> int:
        return sum(block.raw_bytes for block in self._blocks)

    def add(self, entries: Sequence[Entry]) -> None:
        """The next entries, cut into blocks. Raises SegmentDamaged where they do not follow."""
        for block in _cut(entries):
            check_order("the log", block, self._last)
            raw = _encoder.encode(block)
            packed = compress(raw)
            first = block[0]
            digest = hashlib.sha256(packed).digest()
            self._blocks.append(
                Block(
                    *(self._size_bytes, len(packed), len(raw), len(block)),
                    *(first.number, first.ms, first.sequence, digest),
                )
            )
            self._packed.append(packed)
            self._size_bytes += len(packed)
            self._first, self._last = self._first or first, block[-1]

    def finish(self) -> Encoded:
        """Raises ValueError for a segment without entries."""
        if self._first is None or self._last is None:
            raise ValueError("a segment holds at least one entry")
        header = Header(
            format=FORMAT,
            origin=self._origin,
            first=self._first.position,
            last=self._last.position,
            first_number=self._first.number,
            last_number=self._last.number,
            count=self.count,
            blocks=tuple(self._blocks),
        )
        encoded = _encoder.encode(header)
        digest = hashlib.sha256(encoded)
        prefix = MAGIC + len(encoded).to_bytes(4) + digest.digest()
        name = segment_key(self._origin.tag, header.first_number, header.last_number)
        head = Head(name=name, header=header, digest=digest.hexdigest(), blocks_at=PREFIX_BYTES + len(encoded))
        return Encoded(head.entry(), b"".join((prefix, encoded, *self._packed)))


def encode_segment(origin: Origin, entries: Iterable[Entry]) -> Encoded:
    """Raises SegmentDamaged for entries that do not follow one another, ValueError where there are none."""
    writer = SegmentWriter(origin)
    writer.add(tuple(entries))
    return writer.finish()


def _cut(entries: Sequence[Entry]) -> Iterable[Sequence[Entry]]:
    start = size_bytes = 0
    for place, entry in enumerate(entries):
        size_bytes += len(entry.payload)
        if place + 1 - start == BLOCK_EVENTS_MAX or size_bytes >= BLOCK_BYTES_FULL:
            yield entries[start : place + 1]
            start, size_bytes = place + 1, 0
    if start < len(entries):
        yield entries[start:]
