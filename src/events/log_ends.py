"""Where the log ended when somebody looked: kept outside the log, this tells later whether it has lost its end.

Nothing beside the log can: views, inboxes and timers lie on the same server and go back with it.
"""

from typing import Final

import msgspec

from events.log import EventLog, Head

FORMAT: Final = 1

SEQUENCE_MAX: Final = (1 << 64) - 1
"""The highest that an entry id of a Redis stream can have."""


class LogEnds(msgspec.Struct, frozen=True, kw_only=True):
    """The end of each partition, in their order."""

    format: int = FORMAT
    heads: tuple[Head, ...] = ()


async def read_ends(log: EventLog) -> LogEnds:
    """Raises what the log raises."""
    return LogEnds(heads=tuple([await log.head(partition) for partition in range(log.partitions)]))


async def partitions_cut(log: EventLog, seen: LogEnds) -> list[int]:
    """The partitions in which an event that was there when `seen` was read is not there any more.

    Raises what the log raises.
    """
    heads = enumerate(seen.heads[: log.partitions])
    return [partition for partition, head in heads if not await _is_there(log, partition, head)]


async def _is_there(log: EventLog, partition: int, head: Head) -> bool:
    """Numbers alone do not tell: what was appended since may have come past the number that was lost."""
    last = head.position
    if last is None:
        return True
    before = msgspec.structs.replace(last, sequence=last.sequence - 1)
    if last.sequence == 0:
        before = msgspec.structs.replace(last, ms=last.ms - 1, sequence=SEQUENCE_MAX)
    for entry in await log.read(partition, after=before, limit=1):
        same_place = entry.position is not None and entry.position.entry_id == last.entry_id
        return same_place and entry.number == head.number
    return False


def encode_ends(ends: LogEnds) -> bytes:
    return msgspec.json.encode(ends)


def decode_ends(content: bytes) -> LogEnds | None:
    """None for bytes that say nothing about this log: of a newer format, or damaged."""
    try:
        ends = msgspec.json.decode(content, type=LogEnds)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    return ends if ends.format == FORMAT else None
