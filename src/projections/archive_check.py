"""Verifying the archive: every byte of every segment, the chain between them, and the seam to the log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import assert_never

import msgspec

from events.archive import DIGEST_OF_NOTHING, ArchiveStore, Mark, SegmentEntry, Verification
from events.errors import LogFull, SegmentDamaged
from events.segment import check_follows
from projections.archive_reader import Archive
from projections.progress import Progress, Tell, silent


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a segment, and where: `offset` in its blob, `number` of the event, as far as it is known."""

    segment: str
    what: str
    offset: int | None = None
    number: int | None = None

    @classmethod
    def of(cls, error: SegmentDamaged) -> "Damage":
        return cls(segment=error.segment, what=error.what, offset=error.offset, number=error.number)

    def __str__(self) -> str:
        return str(SegmentDamaged(self.segment, self.what, offset=self.offset, number=self.number))


async def verify(archive: Archive, partition: int, tell: Tell = silent, *, unpacks: bool = True) -> list[Damage]:
    """Everything that is wrong with a partition's archive, in order. Raises LogUnavailable.

    Without `unpacks` digests alone are compared, and no note is made: for who goes on to read all of it anyway.
    """
    damages = []
    async with aclosing(verifying(archive, partition, unpacks=unpacks)) as found:
        async for told in found:
            match told:
                case Damage():
                    damages.append(told)
                case Progress():
                    tell(told)
                case _:
                    assert_never(told)
    return damages


async def verifying(
    archive: Archive, partition: int, *, unpacks: bool = True
) -> AsyncGenerator[Progress | Damage, None]:
    """The same while it is found, a Progress behind each segment. That it was done to the end is noted, and nothing
    else is changed. Raises LogUnavailable."""
    installation = await archive.store.installation()
    # An archiver may be at work: the mark first, then the manifest that it must not be ahead of.
    mark = (await archive.store.state(partition)).mark
    segments = await archive.segments(partition)
    total = sum(segment.count for segment in segments)
    before: SegmentEntry | None = None
    verified = damages = 0
    for entry in segments:
        for damage in [*_place(entry, before), *await _bytes(archive, entry, installation, unpacks=unpacks)]:
            damages += 1
            yield damage
        before = entry
        verified += entry.count
        yield Progress(verified, total)
    for damage in await _seam(archive, partition, before, mark):
        damages += 1
        yield damage
    if unpacks:
        await _note(archive.store, partition, segments, damages)


def _place(entry: SegmentEntry, before: SegmentEntry | None) -> list[Damage]:
    """Whether a segment is the next one of its chain."""
    try:
        check_follows(entry, before, digest_before=DIGEST_OF_NOTHING if before is None else before.digest)
    except SegmentDamaged as error:
        return [Damage.of(error)]
    return []


async def _bytes(archive: Archive, entry: SegmentEntry, installation: str, *, unpacks: bool) -> list[Damage]:
    """Whether it holds what was written."""
    try:
        head = await (archive.check_segment(entry) if unpacks else archive.check_bytes(entry))
        _check_origin(entry, head.header.origin.installation, installation)
    except SegmentDamaged as error:
        return [Damage.of(error)]
    return []


async def _note(store: ArchiveStore, partition: int, segments: Sequence[SegmentEntry], damages: int) -> None:
    found = Verification(
        at_ms=(await store.state(partition)).now_ms,
        segments=len(segments),
        last_number=segments[-1].last_number if segments else 0,
        damages=damages,
    )
    # It changes nothing about what was found.
    with suppress(LogFull):
        await store.note(partition, found)


def _check_origin(entry: SegmentEntry, found: str, installation: str) -> None:
    if found != installation:
        raise SegmentDamaged(entry.key, f"it belongs to installation {found}, this is {installation}", offset=0)


async def _seam(archive: Archive, partition: int, last: SegmentEntry | None, mark: Mark) -> list[Damage]:
    """Whether the marks agree with the manifest, and the log goes on where the archive ends."""
    key = f"partition {partition}" if last is None else last.key
    number, digest = (0, DIGEST_OF_NOTHING) if last is None else (last.last_number, last.digest)
    damages = []
    if mark.number > number or (mark.number == number and mark.digest != digest):
        damages.append(Damage(segment=key, what=f"events up to {mark.number} are marked as archived", number=number))
    # What was trimmed until the log was read was archived before.
    oldest = await archive.store.entries(partition, after=None, limit=1)
    state = await archive.store.state(partition)
    if oldest and oldest[0].number > state.mark.number + 1:
        damages.append(
            Damage(
                segment=key,
                what=f"the log begins with event {oldest[0].number} and the archive ends with {state.mark.number}",
                number=state.mark.number + 1,
            )
        )
    return damages
