"""A log that is gone, as its archive outlines it."""

import msgspec

from events.archive import SegmentEntry


class StreamEnd(msgspec.Struct, frozen=True):
    """Where a stream stands, and the entry id of its last event."""

    version: int
    entry_id: str


class RestoredLog(msgspec.Struct, frozen=True):
    """One partition: its segments in order, where its streams stand, and the highest epoch that an event has."""

    partition: int
    segments: tuple[SegmentEntry, ...]
    streams: dict[str, StreamEnd]
    epoch: int

    @property
    def events(self) -> int:
        return self.segments[-1].last_number if self.segments else 0
