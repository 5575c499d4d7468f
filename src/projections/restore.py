"""What an archive says of a log that is gone: its segments, where each stream stands, and which epoch comes next."""

from collections.abc import AsyncIterator
from typing import Final

from blobs.store import BlobStore
from events.archive import DIGEST_OF_NOTHING, SegmentEntry, segments_prefix
from events.codec import stream_version_of
from events.errors import CorruptEvent, SegmentDamaged
from events.restored import RestoredLog, StreamEnd
from events.segment import Segment, check_follows
from projections.archive_reader import Archive
from projections.progress import Progress, Tell, silent

SEGMENT_SUFFIX: Final = ".seg"


async def read_partition(
    archive: Archive, blobs: BlobStore, partition: int, *, tag: str, installation: str, tell: Tell = silent
) -> RestoredLog:
    """Reads and checks every byte; no manifest is needed, the segments name one another.

    A segment that is missing at the very end cannot be missed here: nothing that is left names it. Raises
    SegmentDamaged, LogUnavailable and BlobError.
    """
    segments: list[SegmentEntry] = []
    streams: dict[str, StreamEnd] = {}
    epoch = 0
    async for key in _keys(blobs, tag):
        before = segments[-1] if segments else None
        entry = (await archive.head_of(key)).entry()
        check_follows(entry, before, digest_before=DIGEST_OF_NOTHING if before is None else before.digest)
        segment = await archive.read_segment(entry)
        found = segment.head.header.origin
        if (found.installation, found.tag) != (installation, tag):
            raise SegmentDamaged(key, f"it belongs to installation {found.installation}, partition {found.tag}")
        segments.append(entry)
        epoch = max(epoch, _note(segment, streams))
        tell(Progress(entry.last_number, entry.last_number))
    return RestoredLog(partition, tuple(segments), streams, epoch)


def _note(segment: Segment, streams: dict[str, StreamEnd]) -> int:
    """Answers the highest epoch."""
    epoch = 0
    for entry in segment.entries:
        epoch = max(epoch, entry.epoch)
        try:
            stream, version = stream_version_of(entry.payload)
        except CorruptEvent:
            continue  # a foreign entry: it has its place in the log and belongs to no stream
        streams[stream] = StreamEnd(version, entry.position.entry_id)
    return epoch


async def _keys(blobs: BlobStore, tag: str) -> AsyncIterator[str]:
    async for info in blobs.list(segments_prefix(tag)):
        if info.key.endswith(SEGMENT_SUFFIX):
            yield info.key
