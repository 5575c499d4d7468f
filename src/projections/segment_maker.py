"""The next segment of a partition: which events go into it, and the bytes they come to.

What a process that died left in the blob store under the next first number is made again with the same events, so that
it is found equal and used. Anything else that lies there is refused: it would be a second past.
"""

from collections.abc import Sequence
from typing import Final

from blobs.store import BlobStore
from events.archive import ArchiveState, ArchiveStore, LogEntry, StreamVersion, segments_prefix
from events.codec import stream_version_of
from events.envelope import Position
from events.errors import ArchiveRefused, CorruptEvent, SegmentDamaged
from events.segment import BLOCK_EVENTS_MAX, Entry, Origin
from events.segment_writer import Encoded, SegmentWriter

SEGMENT_BYTES_MAX: Final = 67_108_864
"""Unpacked: a segment of the largest events ends earlier, so that whoever packs it stays under 100 MB."""


PAGE_EVENTS: Final = 2 * BLOCK_EVENTS_MAX
"""Entries read at a time: 2 ms of server time. Fewer, and a busy processor makes the waits count; more, and one page
of the largest events takes more than 128 MB."""


class SegmentMaker:
    """Makes the segments of one partition; `tag` is the partition's."""

    def __init__(self, store: ArchiveStore, blobs: BlobStore, *, partition: int, tag: str) -> None:
        self._store = store
        self._blobs = blobs
        self._partition = partition
        self._tag = tag
        self._installation = ""

    async def make(self, state: ArchiveState, *, events_max: int) -> Encoded:
        """The events behind the mark, of which there is at least one. Raises ArchiveRefused, and what stores raise."""
        if not self._installation:
            self._installation = await self._store.installation()
            if not self._installation:
                raise ArchiveRefused("the store does not say whose it is: a segment without an owner proves nothing")
        until = await self._left_behind(state) or state.mark.number + events_max
        origin = Origin(
            installation=self._installation, partition=self._partition, tag=self._tag, previous=state.mark.digest
        )
        writer, lasts = SegmentWriter(origin), dict[str, Position]()
        position, number = state.mark.position, state.mark.number
        while number < until and writer.raw_bytes < SEGMENT_BYTES_MAX:
            limit = min(PAGE_EVENTS, until - number)
            page = await self._store.entries(self._partition, after=position, limit=limit)
            if not page:
                break
            if page[0].number != number + 1:
                raise ArchiveRefused(
                    f"partition {self._partition}: event {number + 1} is next, the log goes on with {page[0].number}"
                )
            try:
                writer.add(await self._linked(page, lasts))
            except SegmentDamaged as error:
                raise ArchiveRefused(f"partition {self._partition}: {error}") from error
            position, number = page[-1].position, page[-1].number
        if number == state.mark.number:
            raise ArchiveRefused(f"partition {self._partition}: event {number + 1} is not in the log")
        return writer.finish()

    async def _left_behind(self, state: ArchiveState) -> int | None:
        """The last number of the longest segment that was stored, but never entered the manifest."""
        prefix = f"{segments_prefix(self._tag)}{state.mark.number + 1:016d}_"
        keys = [info.key async for info in self._blobs.list(prefix)]
        if not keys:
            return None
        text = keys[-1].removeprefix(prefix).removesuffix(".seg")
        if not text.isdigit() or int(text) > state.head.number:
            raise ArchiveRefused(
                f"{keys[-1]} is in the way: the log of partition {self._partition} ends with event "
                f"{state.head.number}, so it lost its end or the segment belongs to another installation"
            )
        return int(text)

    async def _linked(self, page: Sequence[LogEntry], lasts: dict[str, Position]) -> list[Entry]:
        """Each entry with the place of the event before it in its stream; `lasts` knows those of this segment."""
        owners = [_owner(entry) for entry in page]
        unknown = [
            StreamVersion(owner.stream_id, owner.version - 1)
            for owner in owners
            if owner is not None and owner.version > 1 and owner.stream_id not in lasts
        ]
        firsts = {one.stream_id: one for one in reversed(unknown)}
        known = await self._store.positions(list(firsts.values())) if firsts else []
        for event, place in zip(firsts.values(), known, strict=True):
            if place is None:
                raise ArchiveRefused(f"the place of version {event.version} of {event.stream_id} is not known")
            lasts[event.stream_id] = place
        entries = []
        for owner, one in zip(owners, page, strict=True):
            before = None if owner is None or owner.version == 1 else lasts[owner.stream_id]
            entries.append(_entry(one, before))
            if owner is not None:
                lasts[owner.stream_id] = one.position
        return entries


def _owner(entry: LogEntry) -> StreamVersion | None:
    """None for an entry that is no envelope: it is archived as it is."""
    try:
        return StreamVersion(*stream_version_of(entry.payload))
    except CorruptEvent:
        return None


def _entry(one: LogEntry, before: Position | None) -> Entry:
    position = one.position
    before_ms, before_sequence = (0, 0) if before is None else (before.ms, before.sequence)
    return Entry(position.epoch, position.ms, position.sequence, one.number, one.payload, before_ms, before_sequence)
