"""Segments and log read as one: whoever reads facts need not know which of them have left the log."""

from collections.abc import Sequence
from typing import Final

from events.archive import SegmentEntry
from events.envelope import Envelope, Position
from events.errors import ArchiveRefused, EntriesArchived, HistoryArchived
from events.ids import TaskId
from events.inbox import Delivery
from events.log import Appended, Conflict, EventLog, Head, Taken, Tally, Unreadable, Write
from events.segment import Segment
from projections import archive_check
from projections.archive_check import Damage
from projections.archive_reader import Archive, Place
from projections.progress import Tell, silent

READS_MAX: Final = 8
"""How often a read begins again because the log was trimmed under it; trims go forward only, so it never needs two."""


class ArchivedLog:
    """EventLog over the log and its archive. Raises SegmentDamaged where the archive is not what was written."""

    def __init__(self, hot: EventLog, archive: Archive) -> None:
        self._hot = hot
        self._archive = archive
        self._trimmed: dict[int, Place] = {}

    @property
    def archive(self) -> Archive:
        return self._archive

    @property
    def partitions(self) -> int:
        return self._hot.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        return await self._hot.append(writes, acknowledge=acknowledge)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        for _ in range(READS_MAX):
            place = (0, 0) if after is None else (after.ms, after.sequence)
            if place < self._trimmed.get(partition, (0, 0)):
                found = await self._archive.read(partition, after=after, limit=limit)
                if found:
                    return found
                raise ArchiveRefused(f"events of partition {partition} are neither in the log nor in the archive")
            try:
                return await self._hot.read(partition, after=after, limit=limit, wait_ms=wait_ms)
            except EntriesArchived as error:
                self._trimmed[partition] = _place(error.last_entry_id)
        raise ArchiveRefused(f"the log of partition {partition} is trimmed faster than it can be read")

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        found: list[Envelope] = []
        for _ in range(READS_MAX):
            known = after_version + len(found)
            try:
                return found + await self._hot.history(stream_id, after_version=known)
            except HistoryArchived as error:
                found += await self._archive.history(
                    stream_id,
                    after_version=known,
                    until_version=error.archived_versions,
                    last_entry_id=error.last_entry_id,
                )
        raise ArchiveRefused(f"the log is trimmed faster than {stream_id} can be read")

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        return await self._hot.versions(stream_ids)

    async def tally(self, task_id: TaskId) -> Tally:
        return await self._hot.tally(task_id)

    async def head(self, partition: int) -> Head:
        return await self._hot.head(partition)

    async def segments(self, partition: int) -> list[SegmentEntry]:
        """The manifest, by first number."""
        return await self._archive.segments(partition)

    async def read_segment(self, entry: SegmentEntry) -> Segment:
        """A whole segment, checked."""
        return await self._archive.read_segment(entry)

    async def verify(self, partition: int, tell: Tell = silent, *, unpacks: bool = True) -> list[Damage]:
        """Everything that is wrong with a partition's archive, in order; see `archive_check.verify`."""
        return await archive_check.verify(self._archive, partition, tell, unpacks=unpacks)


def _place(entry_id: str) -> Place:
    position = Position.of_entry(0, entry_id)
    return position.ms, position.sequence
