"""In which epochs of the log a request is answered: an answer says nothing of a log that has lost what it rests on.

Answers that are kept lie on another server of a cluster than what they tell of, and outlive it.
"""

from events.epochs import EPOCH_FIRST
from events.errors import InvalidId
from events.ids import partition_of
from events.log import EventLog
from ingest.concurrency import all_of


async def epochs_of(log: EventLog, path: str) -> tuple[str, ...]:
    """Of the partitions that ids in the path name, else of all; `partition:epoch`, nothing of those that never lost
    anything. Raises what the log raises."""
    named = {one for one in map(_partition_in, path.split("/")) if one is not None and one < log.partitions}
    partitions = sorted(named) or range(log.partitions)
    heads = await all_of(map(log.head, partitions))
    found = zip(partitions, heads, strict=True)
    return tuple(f"{partition}:{head.epoch}" for partition, head in found if head.epoch != EPOCH_FIRST)


def _partition_in(part: str) -> int | None:
    try:
        return partition_of(part)
    except InvalidId:
        return None
