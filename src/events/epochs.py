"""Epochs: how often a partition's log has lost its end, and what this process saw of it that tells.

A replica that takes over lacks what it had not got yet, with everything that lies beside the log: nothing on the server
tells. Whoever was told of an event that is not there any more does.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from events.envelope import Envelope, Position
from events.ids import EventId
from events.log import EventLog, Head, Unreadable, Write

EPOCH_FIRST: Final = 1
"""The epoch of a log that never lost its end."""

SEQUENCE_MAX: Final = (1 << 64) - 1
"""The highest that an entry id of a Redis stream can have."""

VERSION_BITS: Final = 32
"""Of a fence below its epoch; a stream has at most 100,000 versions (`EVENTS_PER_STREAM_MAX`)."""


class Epochs(Protocol):
    """Beside the log. Raises LogUnavailable and LogFull."""

    async def raise_epoch(self, partition: int, seen: Position) -> bool:
        """Begins the next epoch, since the event at `seen` is not in the log any more; answers whether this call did.

        Of all who saw that epoch one begins the next. From then on no entry gets an id up to `seen`, and streams of
        changes begin with the present state.
        """
        ...


class SeenEnds:
    """The last event of each partition that this process was told is in the log."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Position, EventId]] = {}

    def note(self, partition: int, writes: Sequence[Write], positions: Sequence[Position]) -> None:
        """What an append answered."""
        last = next(write.envelopes[-1] for write in reversed(writes) if write.envelopes)
        known = self._seen.get(partition)
        if known is None or known[0] < positions[-1]:
            self._seen[partition] = positions[-1], last.event_id

    async def lost(self, log: EventLog) -> dict[int, Position]:
        """By partition: where an event lay that is not there any more, told once. Raises what the log raises."""
        found: dict[int, Position] = {}
        for partition, (position, event_id) in list(self._seen.items()):
            entry = await entry_at(log, partition, position)
            if entry is not None and isinstance(entry, Envelope) and entry.event_id == event_id and entry.position:
                # Under the epoch of today: who saw an earlier one cannot tell of the next loss.
                self._renew(partition, position, entry.position, event_id)
            else:
                found[partition] = position
                if self._seen[partition][0] == position:
                    del self._seen[partition]
        return found

    def _renew(self, partition: int, before: Position, now: Position, event_id: EventId) -> None:
        """Unless an append was answered meanwhile."""
        if self._seen[partition][0] == before:
            self._seen[partition] = now, event_id


async def entry_at(log: EventLog, partition: int, position: Position) -> Envelope | Unreadable | None:
    """What lies at that place of the log, whatever the epoch; None: nothing does. Raises what the log raises."""
    for entry in await log.read(partition, after=_before(position), limit=1):
        if entry.position is not None and entry.position.entry_id == position.entry_id:
            return entry
    return None


async def is_there(log: EventLog, partition: int, head: Head) -> bool:
    """Whether the event that a log ended with is still in it; an entry of somebody else has no number.

    Numbers alone do not tell: what was appended since may have come past the number that was lost. Raises what the log
    raises.
    """
    if head.position is None:
        return True
    entry = await entry_at(log, partition, head.position)
    return entry is not None and (entry.number or head.number) == head.number


def _before(position: Position) -> Position:
    if position.sequence > 0:
        return msgspec.structs.replace(position, sequence=position.sequence - 1)
    return msgspec.structs.replace(position, ms=position.ms - 1, sequence=SEQUENCE_MAX)


def epoch_of(history: Sequence[Envelope]) -> int:
    """The epoch in which a history was read; that of a stream without any tells nothing and is the first."""
    last = history[-1].position if history else None
    return EPOCH_FIRST if last is None else last.epoch


def fence_of(epoch: int, version: int) -> int:
    """A number for rows of the index that grows with a stream's version, and also where a log has lost some of it."""
    return ((epoch - EPOCH_FIRST) << VERSION_BITS) + version
