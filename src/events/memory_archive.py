"""The archive's marks and manifest in memory: the reference semantics, beside the log in memory."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from events.archive import (
    ArchiveState,
    Floor,
    LogEntry,
    Mark,
    SegmentEntry,
    StreamVersion,
    Verification,
)
from events.envelope import Position
from events.epochs import EPOCH_FIRST
from events.ids import partition_of
from events.memory import MemoryLog
from events.memory_store import EntryId, InboxState, PartitionState, StreamState
from events.pointer import unpack_pointer

INSTALLATION = "memory"


class _Marks:
    def __init__(self) -> None:
        self.mark = Mark()
        self.segments: list[SegmentEntry] = []
        self.holder = ""
        self.until_ms = 0
        self.asked_number = 0
        self.verified: Verification | None = None


class MemoryArchive:
    """ArchiveStore in memory. `projected` answers the number at which a partition's live views stand."""

    def __init__(self, log: MemoryLog, projected: Callable[[int], int]) -> None:
        self._log = log
        self._store = log.store
        self._projected = projected
        self._marks = [_Marks() for _ in range(log.partitions)]

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def installation(self) -> str:
        return INSTALLATION

    async def hold(self, partition: int, *, holder: str, lease_ms: int) -> bool:
        marks, now_ms = self._marks[partition], self._store.now_ms()
        if marks.holder not in ("", holder) and marks.until_ms > now_ms:
            return False
        marks.holder, marks.until_ms = holder, now_ms + lease_ms
        return True

    async def let_go(self, partition: int, *, holder: str) -> None:
        if self._marks[partition].holder == holder:
            self._marks[partition].holder = ""

    async def state(self, partition: int) -> ArchiveState:
        return ArchiveState(
            mark=self._marks[partition].mark,
            trimmed_number=self._store.partition(partition).trimmed,
            head=await self._log.head(partition),
            now_ms=self._store.now_ms(),
            asked_number=self._marks[partition].asked_number,
        )

    async def ask(self, partition: int) -> ArchiveState:
        state = await self.state(partition)
        self._marks[partition].asked_number = state.head.number
        return state

    async def note(self, partition: int, found: Verification) -> None:
        self._marks[partition].verified = found

    async def verified(self, partition: int) -> Verification | None:
        return self._marks[partition].verified

    async def entries(self, partition: int, *, after: Position | None, limit: int) -> list[LogEntry]:
        state = self._store.partition(partition)
        place = (0, 0) if after is None else (after.ms, after.sequence)
        start = max(state.trimmed, bisect_right(state.log, place, key=lambda entry: entry.entry_id))
        return [
            LogEntry(Position(state.epoch, *entry.entry_id), number, entry.payload)
            for number, entry in enumerate(state.log[start : start + limit], start=start + 1)
        ]

    async def positions(self, events: Sequence[StreamVersion]) -> list[Position | None]:
        return [_find(self._store.partition(partition_of(event.stream_id)), event) for event in events]

    async def segments(self, partition: int) -> list[SegmentEntry]:
        return list(self._marks[partition].segments)

    async def advance(self, partition: int, before: Mark, segment: SegmentEntry) -> bool:
        marks = self._marks[partition]
        after = Mark(segment.last_number, segment.last, segment.digest)
        if marks.mark == before:
            marks.segments.append(segment)
            marks.mark = after
        return marks.mark == after

    async def floor(self, partition: int, *, retention_ms: int) -> Floor:
        state = self._store.partition(partition)
        before, held_by = Position(EPOCH_FIRST, self._store.now_ms() - retention_ms, 0), "retention"
        for (step, lane), inbox in state.inboxes.items():
            wanted = _oldest(state, inbox)
            if wanted is not None and wanted < before:
                before, held_by = wanted, f"inbox {step.value}:{lane.value}"
        archived, projected = self._marks[partition].mark.number, self._projected(partition)
        return Floor(
            number=min(archived, projected),
            before=before,
            held_by="views" if projected < archived else held_by,
        )

    async def trim(self, partition: int, floor: Floor, *, limit: int) -> int:
        state = self._store.partition(partition)
        number = min(floor.number, self._marks[partition].mark.number, self._projected(partition))
        gone = state.log[state.trimmed : min(number, state.trimmed + limit)]
        gone = [entry for entry in gone if _position(entry.entry_id) < floor.before]
        for entry in gone:
            entry.payload = b""
        state.trimmed += len(gone)
        return len(gone)


def _oldest(state: PartitionState, inbox: InboxState) -> Position | None:
    """Where the event lies that the oldest entry points to, or else the entry itself."""
    for entry_id, packed in inbox.entries.items():
        pointer = unpack_pointer(packed)
        found = _find(state, StreamVersion(pointer.stream_id, pointer.version))
        return _position(entry_id) if found is None else found
    return None


def _find(state: PartitionState, event: StreamVersion) -> Position | None:
    stream = state.streams.get(event.stream_id, StreamState())
    if not max(1, state.trimmed_versions(stream)) <= event.version <= stream.version:
        return None
    return _position(state.log[stream.places[event.version - 1]].entry_id)


def _position(entry_id: EntryId) -> Position:
    return Position(EPOCH_FIRST, *entry_id)
