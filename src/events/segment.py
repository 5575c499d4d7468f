"""Segments of the archive <-> bytes: pure. Every way of damage raises SegmentDamaged with the place.

    magic 8 | length of the header 4 (big-endian) | SHA-256 of the header 32 | header | block | block ...

The header is MessagePack and names of each block where it lies, which events it holds and the SHA-256 of its bytes, and
the digest of the segment before. So its own SHA-256, the segment's digest, stands for every byte of it and of all
segments before. A block is a zstd frame around a MessagePack list of entries, each with its envelope's bytes exactly as
the log had them; one block can be read without the others.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import lt
from typing import Final

import msgspec

from events.archive import NUMBER_DIGITS, SegmentEntry, segment_key
from events.codec import decode
from events.compression import decompress
from events.envelope import Envelope, Position
from events.errors import CorruptEvent, SegmentDamaged
from events.log import EVENT_BYTES_MAX, Unreadable

MAGIC: Final = b"MSsegmnt"
FORMAT: Final = 1
PREFIX_BYTES: Final = len(MAGIC) + 4 + 32
HEADER_BYTES_MAX: Final = 4_194_304
"""Room for 40,000 blocks."""

BLOCK_EVENTS_MAX: Final = 1_000

BLOCK_BYTES_FULL: Final = 2_097_152
"""Of envelopes: a block ends behind the entry that passes it."""

BLOCK_BYTES_MAX: Final = BLOCK_BYTES_FULL + 2 * EVENT_BYTES_MAX
"""Unpacked; a frame that claims more is refused unread."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log. `before_ms` and `before_sequence` name the event before it in its own stream (0, 0: it is
    the first, or no event), so that a history can be followed from its end."""

    epoch: int
    ms: int
    sequence: int
    number: int
    payload: bytes
    before_ms: int = 0
    before_sequence: int = 0

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.ms, self.sequence)


class Block(msgspec.Struct, frozen=True, array_like=True):
    """`offset` counts from the first block; the first entry's number and place find an event without unpacking."""

    offset: int
    size_bytes: int
    raw_bytes: int
    count: int
    first_number: int
    first_ms: int
    first_sequence: int
    sha256: bytes


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose events these are, and what lies before them."""

    installation: str
    partition: int
    tag: str
    previous: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment says of itself."""

    format: int
    origin: Origin
    first: Position
    last: Position
    first_number: int
    last_number: int
    count: int
    blocks: tuple[Block, ...]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A header that was checked, with its digest; `blocks_at` is where the first block begins."""

    name: str
    header: Header
    digest: str
    blocks_at: int

    @property
    def size_bytes(self) -> int:
        return self.blocks_at + sum(block.size_bytes for block in self.header.blocks)

    def entry(self) -> SegmentEntry:
        """Its line of the manifest."""
        header = self.header
        return SegmentEntry(
            key=self.name,
            first_number=header.first_number,
            last_number=header.last_number,
            first=header.first,
            last=header.last,
            size_bytes=self.size_bytes,
            digest=self.digest,
            previous=header.origin.previous,
        )


class Segment(msgspec.Struct, frozen=True):
    """A whole segment, checked."""

    head: Head
    entries: tuple[Entry, ...]

    def events(self) -> list[Envelope | Unreadable]:
        return events_of(self.entries)


_header_decoder = msgspec.msgpack.Decoder(Header)
_entries_decoder = msgspec.msgpack.Decoder(tuple[Entry, ...])


def header_bytes(name: str, prefix: bytes) -> int:
    """How long magic, digest and header are together, from their first `PREFIX_BYTES`. Raises SegmentDamaged."""
    if len(prefix) < PREFIX_BYTES:
        raise SegmentDamaged(name, f"it ends after {len(prefix)} bytes", offset=len(prefix))
    if prefix[: len(MAGIC)] != MAGIC:
        raise SegmentDamaged(name, "it does not begin as a segment does", offset=0)
    length = int.from_bytes(prefix[len(MAGIC) : len(MAGIC) + 4])
    if length > HEADER_BYTES_MAX:
        raise SegmentDamaged(name, f"its header claims {length} bytes", offset=len(MAGIC))
    return PREFIX_BYTES + length


def decode_head(name: str, data: bytes) -> Head:
    """From the beginning of a segment, at least to the end of its header. Raises SegmentDamaged."""
    blocks_at = header_bytes(name, data[:PREFIX_BYTES])
    encoded = data[PREFIX_BYTES:blocks_at]
    if PREFIX_BYTES + len(encoded) < blocks_at:
        raise SegmentDamaged(name, "it ends within its header", offset=len(data))
    digest = hashlib.sha256(encoded)
    if digest.digest() != data[len(MAGIC) + 4 : PREFIX_BYTES]:
        raise SegmentDamaged(name, "its header is not what was written", offset=len(MAGIC))
    try:
        header = _header_decoder.decode(encoded)
    except msgspec.DecodeError as error:
        raise SegmentDamaged(name, f"its header cannot be read: {error}", offset=PREFIX_BYTES) from None
    if header.format != FORMAT:
        raise SegmentDamaged(name, f"it has format {header.format}, this program knows {FORMAT}", offset=PREFIX_BYTES)
    _check_header(name, header)
    return Head(name=name, header=header, digest=digest.hexdigest(), blocks_at=blocks_at)


def decode_block(head: Head, place: int, packed: bytes) -> tuple[Entry, ...]:
    """The entries of one block, checked against the header. Raises SegmentDamaged."""
    block = head.header.blocks[place]
    name, offset, number = head.name, head.blocks_at + block.offset, block.first_number
    _check_block(head, place, packed)
    try:
        entries = _entries_decoder.decode(decompress(packed, block.raw_bytes))
    except (ValueError, msgspec.DecodeError) as error:
        raise SegmentDamaged(name, f"a block cannot be read: {error}", offset=offset, number=number) from None
    if len(entries) != block.count or entries[0].number != number:
        raise SegmentDamaged(name, "a block holds other events than its header says", offset=offset, number=number)
    check_order(name, entries, None, offset=offset)
    return entries


def _check_block(head: Head, place: int, packed: bytes) -> None:
    block = head.header.blocks[place]
    name, offset, number = head.name, head.blocks_at + block.offset, block.first_number
    if len(packed) != block.size_bytes:
        raise SegmentDamaged(name, "it ends within a block", offset=offset + len(packed), number=number)
    if hashlib.sha256(packed).digest() != block.sha256:
        raise SegmentDamaged(name, "a block is not what was written", offset=offset, number=number)


def decode_segment(name: str, data: bytes) -> Segment:
    """A whole segment. Raises SegmentDamaged."""
    head = decode_head(name, data)
    return Segment(head, tuple(chain.from_iterable(decode_blocks(head, data))))


def check_bytes(head: Head, data: bytes) -> None:
    """Whether each byte of a whole segment is the one that was written; nothing is unpacked. Raises SegmentDamaged."""
    if len(data) > head.size_bytes:
        raise SegmentDamaged(head.name, f"{len(data) - head.size_bytes} bytes follow its end", offset=head.size_bytes)
    for place, block in enumerate(head.header.blocks):
        start = head.blocks_at + block.offset
        _check_block(head, place, data[start : start + block.size_bytes])


def decode_blocks(head: Head, data: bytes) -> Iterator[tuple[Entry, ...]]:
    """The blocks of a whole segment, one after the other: what is between two of them may have its turn. Raises
    SegmentDamaged."""
    if len(data) > head.size_bytes:
        raise SegmentDamaged(head.name, f"{len(data) - head.size_bytes} bytes follow its end", offset=head.size_bytes)
    first: Entry | None = None
    last: Entry | None = None
    for place, block in enumerate(head.header.blocks):
        start = head.blocks_at + block.offset
        found = decode_block(head, place, data[start : start + block.size_bytes])
        check_order(head.name, found[:1], last, offset=start)
        first, last = first or found[0], found[-1]
        yield found
    ends = tuple(None if one is None else one.position for one in (first, last))
    if ends != (head.header.first, head.header.last):
        raise SegmentDamaged(head.name, "its events lie elsewhere than its header says", offset=PREFIX_BYTES)


def check_follows(segment: SegmentEntry, before: SegmentEntry | None, *, digest_before: str) -> None:
    """Whether a segment is the next one of its chain: dense numbers, rising positions, hash. Raises SegmentDamaged."""
    wanted = 1 if before is None else before.last_number + 1
    if segment.first_number > wanted:
        raise SegmentDamaged(
            segment.key, f"a segment is missing before it: events {wanted} to {segment.first_number - 1}", number=wanted
        )
    if segment.first_number < wanted:
        raise SegmentDamaged(
            segment.key, f"it repeats events, {wanted} is the next", offset=0, number=segment.first_number
        )
    if before is not None and _entry_id(segment.first) <= _entry_id(before.last):
        raise SegmentDamaged(segment.key, "it lies before the segment that it follows", number=segment.first_number)
    if segment.previous != digest_before:
        raise SegmentDamaged(segment.key, "it follows another segment than the one before it", offset=PREFIX_BYTES)


def events_of(entries: Iterable[Entry]) -> list[Envelope | Unreadable]:
    """What a reader of the log would have been given."""
    found: list[Envelope | Unreadable] = []
    for entry in entries:
        position = Position(entry.epoch, entry.ms, entry.sequence)
        try:
            found.append(decode(entry.payload, position=position, number=entry.number))
        except CorruptEvent as error:
            found.append(Unreadable(position, entry.number, entry.payload, str(error)))
    return found


def _check_header(name: str, header: Header) -> None:
    blocks = header.blocks
    number, offset = header.first_number, 0
    for block in blocks:
        if (block.offset, block.first_number) != (offset, number) or not block.count > 0:
            raise SegmentDamaged(name, "its header names blocks that do not follow", offset=PREFIX_BYTES, number=number)
        if block.raw_bytes > BLOCK_BYTES_MAX or block.size_bytes > BLOCK_BYTES_MAX:
            raise SegmentDamaged(name, f"a block claims {block.raw_bytes} bytes", offset=PREFIX_BYTES, number=number)
        number, offset = number + block.count, offset + block.size_bytes
    if not blocks or number != header.last_number + 1 or header.count != number - header.first_number:
        raise SegmentDamaged(name, "its header counts other events than it names", offset=PREFIX_BYTES)
    if name != segment_key(header.origin.tag, header.first_number, header.last_number):
        raise SegmentDamaged(
            name,
            f"it holds events {header.first_number:0{NUMBER_DIGITS}d} to {header.last_number:0{NUMBER_DIGITS}d} "
            f"of {header.origin.tag}",
            offset=PREFIX_BYTES,
        )


def check_order(name: str, entries: Sequence[Entry], before: Entry | None, *, offset: int | None = None) -> None:
    """Numbers without a gap, places that rise."""
    if before is not None:
        entries = (before, *entries)
        before = None
    numbers, places = [entry.number for entry in entries], [(entry.ms, entry.sequence) for entry in entries]
    is_dense = not numbers or numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if is_dense and all(map(lt, places, places[1:])):
        return  # at half of what looking at each takes; what is wrong with one is told below
    for entry in entries:
        if before is not None:
            if entry.number != before.number + 1:
                raise SegmentDamaged(
                    name, f"event {entry.number} follows event {before.number}", offset=offset, number=entry.number
                )
            if (entry.ms, entry.sequence) <= (before.ms, before.sequence):
                raise SegmentDamaged(
                    name, "an event lies before the one it follows", offset=offset, number=entry.number
                )
        before = entry


def _entry_id(position: Position) -> tuple[int, int]:
    return position.ms, position.sequence
