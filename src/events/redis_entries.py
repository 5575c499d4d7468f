"""Entries of the log as Redis gives them, made into envelopes of one stream."""

from collections.abc import Sequence
from typing import Any

from events.codec import decode
from events.envelope import Envelope, Position
from events.epochs import EPOCH_FIRST
from events.errors import LogError, VersionGap


def position_of(epoch: int, entry_id: bytes) -> Position:
    """Where an entry of that id lies."""
    ms, _, sequence = entry_id.partition(b"-")
    return Position(epoch, int(ms), int(sequence))


def next_of(stream_id: str, version: int, epoch: int, entry_id: bytes, payload: bytes, number: bytes) -> Envelope:
    """The event that has to be that version of the stream. Raises CorruptEvent and VersionGap."""
    if not payload:
        raise VersionGap(f"version {version} of the stream is in its history but not in the log")
    envelope = decode(payload, position=position_of(epoch, entry_id), number=int(number))
    if envelope.stream_id != stream_id or envelope.version != version:
        raise VersionGap(f"the log holds version {envelope.version} of {envelope.stream_id} where {version} is next")
    return envelope


def brought(stream_id: str, found: Sequence[Any]) -> list[Envelope] | None:
    """A document's events as `take.lua` brings them; None for one that is not whole, or not readable:
    whoever reads it from the log is told why."""
    epoch, *events = found
    entries = zip(events[0::3], events[1::3], events[2::3], strict=True)
    try:
        return [
            next_of(stream_id, version, int(epoch or EPOCH_FIRST), *entry) for version, entry in enumerate(entries, 1)
        ] or None
    except (LogError, ValueError):
        return None
