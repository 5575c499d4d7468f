"""The archive of each partition at a glance: what it holds, how far the log is ahead of it, when it was verified."""

from datetime import datetime
from typing import Final

import msgspec

from domain.instant import utc
from events.archive import ArchiveState, Mark, SegmentEntry, Verification
from events.envelope import Position
from projections.archive_reader import Archive
from projections.archiver import ArchiveSettings
from projections.on_demand import gathered

MS: Final = 1_000
"""Microseconds."""


class ArchivedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event lies, and when it came into the log."""

    number: int
    position: str
    at: datetime


class LastVerified(msgspec.Struct, frozen=True, kw_only=True):
    """When the whole partition was read last, and how many damages that found."""

    at: datetime
    segments: int
    events: int
    damages: int


class PartitionArchive(msgspec.Struct, frozen=True, kw_only=True):
    """One partition. `waiting_events` are not archived yet, the oldest of them for `waiting_s` seconds (None: none);
    `is_asked`: somebody asked for it. `log_events` are in memory still, and `held_by` says what
    keeps archived ones there: `retention`, `views` or an inbox (`inbox embed:bulk`)."""

    partition: int
    segments: int
    events: int
    size_bytes: int
    first: ArchivedEvent | None
    last: ArchivedEvent | None
    waiting_events: int
    waiting_s: float | None
    log_events: int
    held_by: str
    is_asked: bool
    verified: LastVerified | None


class ArchiveOverview(msgspec.Struct, frozen=True, kw_only=True):
    """The whole archive, under which settings it is kept; `is_kept` false: the log keeps everything."""

    as_of: datetime
    is_kept: bool
    segment_events_max: int
    after_s: int
    retention_s: int
    segments: int
    events: int
    size_bytes: int
    waiting_events: int
    partitions: tuple[PartitionArchive, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked to be archived at once: so many events of so many partitions."""

    partitions: int
    waiting_events: int


class _Manifest(msgspec.Struct, frozen=True):
    """What a manifest sums up to, as of one mark."""

    mark: Mark
    segments: int = 0
    size_bytes: int = 0
    first: SegmentEntry | None = None
    last: SegmentEntry | None = None


class ArchiveAtAGlance:
    """Raises LogUnavailable. A manifest is read anew only when its partition's mark has moved."""

    def __init__(self, archive: Archive, settings: ArchiveSettings, *, is_kept: bool) -> None:
        self._archive = archive
        self._store = archive.store
        self._settings = settings
        self._is_kept = is_kept
        self._manifests: dict[int, _Manifest] = {}

    @property
    def partitions(self) -> int:
        return self._store.partitions

    @property
    def is_kept(self) -> bool:
        return self._is_kept

    async def look(self) -> ArchiveOverview:
        """All partitions, each as of its own moment."""
        states = await gathered(range(self._store.partitions), self._store.state)
        found = await gathered(list(enumerate(states)), lambda one: self._partition(*one))
        return ArchiveOverview(
            as_of=utc(max(state.now_ms for state in states) * MS),
            is_kept=self._is_kept,
            segment_events_max=self._settings.segment_events_max,
            after_s=self._settings.after_s,
            retention_s=self._settings.retention_s,
            segments=sum(one.segments for one in found),
            events=sum(one.events for one in found),
            size_bytes=sum(one.size_bytes for one in found),
            waiting_events=sum(one.waiting_events for one in found),
            partitions=tuple(found),
        )

    async def ask(self) -> Asked:
        """Whatever is in the log now is due: the projector's archiver takes it within seconds."""
        states = await gathered(range(self._store.partitions), self._store.ask)
        waiting = [state.head.number - state.mark.number for state in states]
        return Asked(partitions=sum(one > 0 for one in waiting), waiting_events=sum(waiting))

    async def _partition(self, partition: int, state: ArchiveState) -> PartitionArchive:
        manifest = await self._manifest(partition, state.mark)
        floor = await self._store.floor(partition, retention_ms=self._settings.retention_s * 1_000)
        verified = await self._store.verified(partition)
        return PartitionArchive(
            partition=partition,
            segments=manifest.segments,
            events=state.mark.number,
            size_bytes=manifest.size_bytes,
            first=None if manifest.first is None else _event(manifest.first.first_number, manifest.first.first),
            last=None if manifest.last is None else _event(manifest.last.last_number, manifest.last.last),
            waiting_events=state.head.number - state.mark.number,
            waiting_s=await self._waiting_s(partition, state),
            log_events=state.head.number - state.trimmed_number,
            held_by=floor.held_by,
            is_asked=state.asked_number > state.mark.number,
            verified=None if verified is None else _verified(verified),
        )

    async def _manifest(self, partition: int, mark: Mark) -> _Manifest:
        known = self._manifests.get(partition)
        if known is None or known.mark != mark:
            # What was added since the mark was read is told of next time.
            lines = [one for one in await self._archive.segments(partition) if one.last_number <= mark.number]
            size_bytes = sum(one.size_bytes for one in lines)
            ends = (lines[0], lines[-1]) if lines else (None, None)
            known = self._manifests[partition] = _Manifest(mark, len(lines), size_bytes, *ends)
        return known

    async def _waiting_s(self, partition: int, state: ArchiveState) -> float | None:
        if state.head.number <= state.mark.number:
            return None
        oldest = await self._store.entries(partition, after=state.mark.position, limit=1)
        return None if not oldest else max(0.0, (state.now_ms - oldest[0].position.ms) / 1_000)


def _event(number: int, position: Position) -> ArchivedEvent:
    return ArchivedEvent(number=number, position=str(position), at=utc(position.ms * MS))


def _verified(found: Verification) -> LastVerified:
    return LastVerified(
        at=utc(found.at_ms * MS), segments=found.segments, events=found.last_number, damages=found.damages
    )
