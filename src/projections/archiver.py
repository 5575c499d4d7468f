"""The archiver: facts leave the log for verified segments, in order, and only what is safe leaves.

For each partition: make the next segment, put it where there is none, read it back and check every byte, move mark and
manifest by a compared call, then trim the log under the floor. Whoever dies in between leaves something that the next
pass finds and uses. A lease saves double work; what keeps the archive right are the comparisons.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog

from blobs.errors import BlobError, BlobExists
from blobs.store import BlobStore
from events.archive import ArchiveState, ArchiveStore, SegmentEntry
from events.envelope import Position
from events.errors import ArchiveRefused, LogError, LogFull, LogUnavailable
from events.failpoints import Place, failpoint
from events.keys import tags
from events.segment import Head, decode_block, decode_blocks, decode_head
from events.segment_writer import Encoded
from projections.segment_maker import SegmentMaker

POLL_S: Final = 2.0
"""Between two looks at what is due."""

RETRY_PAUSE_S: Final = 15.0
"""After a store that did not answer, and after something that a person has to look at."""

PARTITIONS_AT_ONCE: Final = 4
"""One waits for Redis and for disk or S3 most of its time; each may hold a packed segment in memory."""

LEASE_MS: Final = 15_000
"""How long after an archiver's death another goes on. A segment takes less than a second; one that takes longer than
this may be made twice, of the same events."""

TRIM_ENTRIES: Final = 2_000
"""Entries trimmed a call: 5 ms of server time."""

PLACES_REMEMBERED: Final = 2
"""Where the log begins, and where what is not archived does."""

log = structlog.get_logger(__name__)


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When facts leave the log: a segment is made of `segment_events_max` events, or earlier once the oldest is
    `after_s` old; archived ones stay in the log for `retention_s`."""

    segment_events_max: int = 50_000
    after_s: int = 86_400
    retention_s: int = 600


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass over a partition did; `held_by` is what kept the log from being trimmed further."""

    partition: int
    segments: int = 0
    events: int = 0
    trimmed: int = 0
    held_by: str = ""


class Archiver:
    """Archives one partition. `holder` names this process among all that ever run."""

    def __init__(
        self, store: ArchiveStore, blobs: BlobStore, *, partition: int, holder: str, settings: ArchiveSettings
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._partition = partition
        self._holder = holder
        self._settings = settings
        self._written_at_ms: dict[object, int] = {}
        tag = tags(store.partitions)[partition]
        self._maker = SegmentMaker(store, blobs, partition=partition, tag=tag)

    async def advance(self, *, everything: bool = False, stop: asyncio.Event | None = None) -> Archived | None:
        """One pass: what is due (or `everything`) is archived, what may go is trimmed. None: somebody else is at it.

        Ends early, between two segments or two trims, once `stop` is set. Raises ArchiveRefused, SegmentDamaged and
        what the stores raise.
        """
        if not everything and (held_by := await self._waits_for()) is not None:
            return Archived(partition=self._partition, held_by=held_by)
        if not await self._holds():
            return None
        try:
            segments = events = 0
            while not _is_set(stop) and (stored := await self._archive_next(everything=everything)) is not None:
                segments, events = segments + 1, events + stored.count
            trimmed, held_by = await self._trim(stop)
            return Archived(
                partition=self._partition, segments=segments, events=events, trimmed=trimmed, held_by=held_by
            )
        finally:
            await self._store.let_go(self._partition, holder=self._holder)

    async def _waits_for(self) -> str | None:
        """What has to happen first where nothing is due, empty: new facts; None where something is.

        Nearly every look ends here, with one call. The floor takes 20, and what a trim reads 2,000 entries.
        """
        state = await self._store.state(self._partition)
        if await self._is_due(state, everything=False):
            return None
        if state.trimmed_number >= state.mark.number:
            return ""
        oldest_ms = await self._written_ms(state, behind=None)
        kept_ms = self._settings.retention_s * 1_000
        return "retention" if oldest_ms is not None and oldest_ms > state.now_ms - kept_ms else None

    async def _archive_next(self, *, everything: bool) -> SegmentEntry | None:
        state = await self._store.state(self._partition)
        if not await self._is_due(state, everything=everything) or not await self._holds():
            return None
        with _at_the_border():
            encoded = await self._maker.make(state, events_max=self._settings.segment_events_max)
            entry = await self._put(encoded)
        failpoint(Place.ARCHIVER_SEGMENT_STORED)
        if not await self._store.advance(self._partition, state.mark, entry):
            return None
        failpoint(Place.ARCHIVER_MANIFEST_STORED)
        return entry

    async def _is_due(self, state: ArchiveState, *, everything: bool) -> bool:
        waiting = state.head.number - state.mark.number
        is_asked = everything or state.asked_number > state.mark.number
        if waiting <= 0 or is_asked or waiting >= self._settings.segment_events_max:
            return waiting > 0
        oldest_ms = await self._written_ms(state, behind=state.mark.position)
        return oldest_ms is not None and oldest_ms <= state.now_ms - self._settings.after_s * 1_000

    async def _written_ms(self, state: ArchiveState, *, behind: Position | None) -> int | None:
        """When the first entry behind a place of the log was written; remembered while the log begins where it does."""
        place = (behind, state.trimmed_number, state.head.epoch)
        if place not in self._written_at_ms:
            found = await self._store.entries(self._partition, after=behind, limit=1)
            if not found:
                return None
            if len(self._written_at_ms) >= PLACES_REMEMBERED:
                self._written_at_ms.clear()
            self._written_at_ms[place] = found[0].position.ms
        return self._written_at_ms[place]

    async def _put(self, encoded: Encoded) -> SegmentEntry:
        """Stores a segment and reads it back; one with the same events that is there already is as good."""
        key = encoded.entry.key
        try:
            await self._blobs.put_new(key, encoded.data)
        except BlobExists:
            log.info("segment_found", segment=key)
        found = await self._blobs.get(key)
        head = await _checked(key, found)
        if found != encoded.data and not await _tell_the_same(key, found, encoded.data):
            raise ArchiveRefused(f"{key} holds other events than the log: it is not touched, and nothing is trimmed")
        return head.entry()

    async def _trim(self, stop: asyncio.Event | None) -> tuple[int, str]:
        trimmed = 0
        floor = await self._store.floor(self._partition, retention_ms=self._settings.retention_s * 1_000)
        failpoint(Place.ARCHIVER_BEFORE_TRIM)
        while (
            not _is_set(stop)
            and await self._holds()
            and (gone := await self._store.trim(self._partition, floor, limit=TRIM_ENTRIES))
        ):
            failpoint(Place.ARCHIVER_MID_TRIM)
            trimmed += gone
        return trimmed, floor.held_by

    async def _holds(self) -> bool:
        return await self._store.hold(self._partition, holder=self._holder, lease_ms=LEASE_MS)


async def run_archivers(
    store: ArchiveStore, blobs: BlobStore, settings: ArchiveSettings, *, holder: str, stop: asyncio.Event
) -> None:
    """All partitions, a few at a time, until told to stop. Trouble with one of them leaves the others alone."""
    turns = asyncio.Semaphore(PARTITIONS_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for partition in range(store.partitions):
            archiver = Archiver(store, blobs, partition=partition, holder=holder, settings=settings)
            group.create_task(_keep_archiving(partition, archiver, turns, stop))


async def _keep_archiving(partition: int, archiver: Archiver, turns: asyncio.Semaphore, stop: asyncio.Event) -> None:
    while not stop.is_set():
        async with turns:
            is_well = await _advances(partition, archiver, stop)
        await _pause(stop, POLL_S if is_well else RETRY_PAUSE_S)


async def _advances(partition: int, archiver: Archiver, stop: asyncio.Event) -> bool:
    try:
        done = await archiver.advance(stop=stop)
    except (LogUnavailable, LogFull) as error:
        log.warning("archiver_waits", partition=partition, reason=str(error))
        return False
    except LogError as error:
        log.error("archive_refused", partition=partition, reason=str(error))  # noqa: TRY400  the reason tells all
        return False
    if done is not None and (done.segments or done.trimmed):
        log.info("archived", **msgspec.structs.asdict(done))
    return True


async def _checked(key: str, data: bytes) -> Head:
    """Block by block, so that others of the loop have their turn: 50,000 events at once would take 40 ms."""
    head = decode_head(key, data)
    for _ in decode_blocks(head, data):
        await asyncio.sleep(0)
    return head


async def _tell_the_same(key: str, one: bytes, other: bytes) -> bool:
    """The same events of the same origin, packed by another version of the library."""
    left, right = decode_head(key, one), decode_head(key, other)
    if left.header.origin != right.header.origin or len(left.header.blocks) != len(right.header.blocks):
        return False
    for place in range(len(left.header.blocks)):
        if _block(left, place, one) != _block(right, place, other):
            return False
        await asyncio.sleep(0)
    return True


def _block(head: Head, place: int, data: bytes) -> object:
    start = head.blocks_at + head.header.blocks[place].offset
    return decode_block(head, place, data[start : start + head.header.blocks[place].size_bytes])


@contextmanager
def _at_the_border() -> Iterator[None]:
    try:
        yield
    except BlobError as error:
        raise LogUnavailable(f"the blob store does not serve the archive: {error}") from error


def _is_set(stop: asyncio.Event | None) -> bool:
    return stop is not None and stop.is_set()


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    """Ends early when told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
