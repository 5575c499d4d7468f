"""Where the log ended when somebody looked: kept outside the log, this tells later whether it has lost its end.

Nothing beside the log can: views, inboxes and timers lie on the same server and go back with it.
"""

from typing import Final

import msgspec

from events.epochs import is_there
from events.log import EventLog, Head

FORMAT: Final = 1


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
    return [partition for partition, head in heads if not await is_there(log, partition, head)]


def risen(now: LogEnds, before: LogEnds) -> list[tuple[int, Head]]:
    """The partitions, with their ends, that are in another epoch: they have lost something in between."""
    pairs = enumerate(zip(now.heads, before.heads, strict=False))
    return [(partition, head) for partition, (head, was) in pairs if head.epoch > was.epoch]


def encode_ends(ends: LogEnds) -> bytes:
    return msgspec.json.encode(ends)


def decode_ends(content: bytes) -> LogEnds | None:
    """None for bytes that say nothing about this log: of a newer format, or damaged."""
    try:
        ends = msgspec.json.decode(content, type=LogEnds)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    return ends if ends.format == FORMAT else None
