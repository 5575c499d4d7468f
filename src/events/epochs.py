"""Epochs: how often a partition's log has lost its end, and what this process saw of it that tells.

A replica that takes over lacks what it had not got yet, with everything that lies beside the log: nothing on the server
tells. Whoever was told of an event that is not there any more does.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

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

SEEN_EVERY_S: Final = 0.25
"""Of the events answered in so long the last one is remembered: no replica takes over sooner."""

SEEN_MAX: Final = 64
"""Of one partition: more than are seen between two looks, 3 s apart. Where nobody looks, the oldest go."""


class Epochs(Protocol):
    """Beside the log. Raises LogUnavailable and LogFull."""

    async def raise_epoch(self, partition: int, seen: Position) -> bool:
        """Begins the next epoch, since the event at `seen` is not in the log any more; answers whether this call did.

        Of all who saw that epoch one begins the next. From then on no entry gets an id up to `seen`, and streams of
        changes begin with the present state.
        """
        ...


class SeenEnd(NamedTuple):
    """An event that was in the log when it was answered; the first of those that it stands for came at `since_s`."""

    position: Position
    event_id: EventId
    since_s: float


class SeenEnds:
    """The last events of each partition that this process was told are in the log, `clock_s` being monotonic.

    Not the very last one alone: whoever appends beside a fail-over has soon seen one behind what is lost.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._seen: dict[int, deque[SeenEnd]] = {}

    def note(self, partition: int, writes: Sequence[Write], positions: Sequence[Position]) -> None:
        """What an append answered."""
        last = next(write.envelopes[-1] for write in reversed(writes) if write.envelopes)
        ends = self._seen.get(partition)
        if ends is None:
            ends = self._seen[partition] = deque(maxlen=SEEN_MAX)
        now_s = self._clock_s()
        if not ends or now_s - ends[-1].since_s >= SEEN_EVERY_S:
            ends.append(SeenEnd(positions[-1], last.event_id, now_s))
        elif ends[-1].position < positions[-1]:
            ends[-1] = SeenEnd(positions[-1], last.event_id, ends[-1].since_s)

    async def lost(self, log: EventLog) -> dict[int, Position]:
        """By partition: where the last event lay that is not there any more, until it is forgotten. Raises what the log
        raises."""
        found: dict[int, Position] = {}
        for partition, ends in list(self._seen.items()):
            for end in list(ends):
                entry = await entry_at(log, partition, end.position)
                if isinstance(entry, Envelope) and entry.event_id == end.event_id and entry.position:
                    _confirm(ends, end, entry.position)
                else:
                    found[partition] = max(end.position, found.get(partition, end.position))
        return found

    def forget(self, partition: int, position: Position) -> None:
        """What was lost up to there has been told."""
        ends = self._seen[partition]
        left = [end for end in ends if end.position > position]
        ends.clear()
        ends.extend(left)


def _confirm(ends: deque[SeenEnd], end: SeenEnd, now: Position) -> None:
    """Nothing more is to be learnt of it, unless it is the last one; an append may have been answered meanwhile."""
    if ends[-1] is end:
        # Under the epoch of today: who saw an earlier one cannot tell of the next loss.
        ends[-1] = end._replace(position=now)
    elif end in ends:
        ends.remove(end)


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
