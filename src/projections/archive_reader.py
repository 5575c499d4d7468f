"""Reading the archive: a block at a time, each checked before it is believed, the ones used last kept.

What one history costs: a range of a blob for each block that holds its events (a block is 1,000 events of a partition),
one more for the header of each segment, nothing where they are kept from before.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from blobs.errors import BlobError, BlobMissing
from blobs.store import BlobStore
from events.archive import ArchiveStore, SegmentEntry
from events.codec import decode
from events.envelope import Envelope, Position
from events.errors import LogUnavailable, SegmentDamaged, VersionGap
from events.ids import partition_of
from events.log import Unreadable
from events.segment import (
    PREFIX_BYTES,
    Entry,
    Head,
    Segment,
    check_bytes,
    decode_block,
    decode_blocks,
    decode_head,
    decode_segment,
    events_of,
    header_bytes,
)

HEAD_READ_BYTES: Final = 8_192
"""The first read of a segment: the header of one of 50,000 events takes 4 kB."""

READ_AHEAD_BLOCKS: Final = 16
"""Blocks fetched at once where the log is read in order: on S3 a call takes 10 ms, whatever it brings."""

HEADS_KEPT: Final = 1_000
PACKED_KEPT: Final = 64
BLOCKS_KEPT: Final = 24
"""About 1 MB each once they are unpacked."""

BLOCKS_IN_ORDER: Final = 2
"""Kept by who reads the log from end to end: a page may end within a block, and none is asked for again later."""

Place = tuple[int, int]
"""Time and sequence of an entry."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The values used last."""

    def __init__(self, values_max: int) -> None:
        self._values_max = values_max
        self._values: OrderedDict[K, V] = OrderedDict()

    def find(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: K, value: V) -> V:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._values_max:
            self._values.popitem(last=False)
        return value


class Archive:
    """The segments of an installation. Raises LogUnavailable (of the blob store too) and SegmentDamaged."""

    def __init__(self, store: ArchiveStore, blobs: BlobStore, *, blocks_kept: int = BLOCKS_KEPT) -> None:
        self._store = store
        self._blobs = blobs
        self._manifests: dict[int, list[SegmentEntry]] = {}
        self._heads: Kept[str, Head] = Kept(HEADS_KEPT)
        self._packed: Kept[tuple[str, int], bytes] = Kept(PACKED_KEPT)
        self._blocks: Kept[tuple[str, int], tuple[Entry, ...]] = Kept(blocks_kept)

    @property
    def store(self) -> ArchiveStore:
        return self._store

    @property
    def blobs(self) -> BlobStore:
        return self._blobs

    async def segments(self, partition: int) -> list[SegmentEntry]:
        """The manifest as it is now, by first number."""
        self._manifests[partition] = await self._store.segments(partition)
        return list(self._manifests[partition])

    async def read_segment(self, entry: SegmentEntry) -> Segment:
        """A whole segment, checked against its line of the manifest."""
        with _at_the_border(entry.key):
            data = await self._blobs.get(entry.key)
        segment = decode_segment(entry.key, data)
        _check_manifest(segment.head, entry)
        return segment

    async def check_segment(self, entry: SegmentEntry) -> Head:
        """Reads every byte of a segment and checks it, against its line of the manifest too.

        Block by block, so that others of the loop have their turn: 50,000 events at once would take 40 ms.
        """
        with _at_the_border(entry.key):
            data = await self._blobs.get(entry.key)
        head = decode_head(entry.key, data)
        for _ in decode_blocks(head, data):
            await asyncio.sleep(0)
        _check_manifest(head, entry)
        return head

    async def check_bytes(self, entry: SegmentEntry) -> Head:
        """Reads every byte of a segment and compares digests, of its line of the manifest too: 3 ms for 50,000 events
        where looking at each takes 60."""
        with _at_the_border(entry.key):
            data = await self._blobs.get(entry.key)
        head = decode_head(entry.key, data)
        check_bytes(head, data)
        _check_manifest(head, entry)
        return head

    async def head(self, entry: SegmentEntry) -> Head:
        """The header of a segment, checked against its line of the manifest."""
        head = self._heads.find(entry.digest)
        if head is None:
            head = await self.head_of(entry.key)
            _check_manifest(head, entry)
            self._heads.keep(entry.digest, head)
        return head

    async def head_of(self, key: str) -> Head:
        """The header of the segment under this key, as it says of itself."""
        data = await self._range(key, 0, HEAD_READ_BYTES)
        wanted = header_bytes(key, data[:PREFIX_BYTES])
        if wanted > len(data) == HEAD_READ_BYTES:
            data += await self._range(key, HEAD_READ_BYTES, wanted - HEAD_READ_BYTES)
        return decode_head(key, data)

    async def read(self, partition: int, *, after: Position | None, limit: int) -> list[Envelope | Unreadable]:
        """The next archived events behind a position; none: the archive ends there."""
        place = (0, 0) if after is None else (after.ms, after.sequence)
        found: list[Envelope | Unreadable] = []
        while len(found) < limit:
            segment = await self._segment_behind(partition, place)
            if segment is None:
                break
            entries = await self._entries_behind(segment, place)
            found += events_of(entries[: limit - len(found)])
            place = (entries[-1].ms, entries[-1].sequence)
        return found

    async def history(
        self, stream_id: str, *, after_version: int, until_version: int, last_entry_id: str
    ) -> list[Envelope]:
        """A stream's archived events up to `until_version`, which lies at `last_entry_id`.

        Each entry names the one before it, so they are followed from the last to the first. Raises CorruptEvent and
        VersionGap.
        """
        partition = partition_of(stream_id)
        last = Position.of_entry(0, last_entry_id)
        place = (last.ms, last.sequence)
        found: list[Envelope] = []
        for version in range(until_version, after_version, -1):
            entry = await self._entry_at(partition, place)
            envelope = decode(entry.payload, position=entry.position, number=entry.number)
            if envelope.stream_id != stream_id or envelope.version != version:
                raise VersionGap(
                    f"the archive holds version {envelope.version} of {envelope.stream_id} where version {version} "
                    f"of {stream_id} should be"
                )
            found.append(envelope)
            place = (entry.before_ms, entry.before_sequence)
        return found[::-1]

    async def _entry_at(self, partition: int, place: Place) -> Entry:
        segment = await self._segment_behind(partition, (place[0], place[1] - 1))
        if segment is not None:
            head = await self.head(segment)
            entries = await self._block(segment, head, _block_of(head, place), ahead=1)
            at = bisect_left(entries, place, key=_place_of)
            if at < len(entries) and _place_of(entries[at]) == place:
                return entries[at]
        raise VersionGap(f"the archive of partition {partition} has no event at {place[0]}-{place[1]}")

    async def _entries_behind(self, segment: SegmentEntry, place: Place) -> tuple[Entry, ...]:
        """From one block; the segment has some."""
        head = await self.head(segment)
        number = _block_of(head, place)
        while number < len(head.header.blocks):
            entries = await self._block(segment, head, number, ahead=READ_AHEAD_BLOCKS)
            rest = entries[bisect_right(entries, place, key=_place_of) :]
            if rest:
                return rest
            number += 1
        raise SegmentDamaged(segment.key, "its last event lies before the place that the manifest names")

    async def _segment_behind(self, partition: int, place: Place) -> SegmentEntry | None:
        """The first segment that ends behind the place; the manifest only ever grows."""
        manifest = self._manifests.get(partition, [])
        at = bisect_right(manifest, place, key=_end_of)
        if at == len(manifest):
            manifest = await self.segments(partition)
            at = bisect_right(manifest, place, key=_end_of)
        return manifest[at] if at < len(manifest) else None

    async def _block(self, segment: SegmentEntry, head: Head, number: int, *, ahead: int) -> tuple[Entry, ...]:
        key = (segment.digest, number)
        entries = self._blocks.find(key)
        if entries is None:
            packed = self._packed.find(key) or await self._fetch(segment, head, number, ahead)
            entries = self._blocks.keep(key, decode_block(head, number, packed))
        return entries

    async def _fetch(self, segment: SegmentEntry, head: Head, number: int, ahead: int) -> bytes:
        """One range of the blob; answers the first of its blocks."""
        blocks = head.header.blocks[number : number + ahead]
        start = blocks[0].offset
        data = await self._range(segment.key, head.blocks_at + start, blocks[-1].offset + blocks[-1].size_bytes - start)
        for place, block in enumerate(blocks, start=number):
            self._packed.keep((segment.digest, place), data[block.offset - start :][: block.size_bytes])
        return data[: blocks[0].size_bytes]

    async def _range(self, key: str, start: int, length: int) -> bytes:
        with _at_the_border(key):
            return b"".join([piece async for piece in self._blobs.read(key, start=start, length=length)])


@contextmanager
def _at_the_border(key: str) -> Iterator[None]:
    """A blob store that does not answer is a log that does not answer; a segment without its blob is damaged."""
    try:
        yield
    except BlobMissing:
        raise SegmentDamaged(key, "it is missing") from None
    except BlobError as error:
        raise LogUnavailable(f"the archive cannot be read: {error}") from error


def _check_manifest(head: Head, entry: SegmentEntry) -> None:
    if head.entry() != entry:
        raise SegmentDamaged(head.name, "it is another segment than the one that the manifest names", offset=0)


def _block_of(head: Head, place: Place) -> int:
    """The last block that begins at or before the place; the first where none does."""
    firsts = [(block.first_ms, block.first_sequence) for block in head.header.blocks]
    return max(0, bisect_right(firsts, place) - 1)


def _place_of(entry: Entry) -> Place:
    return entry.ms, entry.sequence


def _end_of(segment: SegmentEntry) -> Place:
    return segment.last.ms, segment.last.sequence
