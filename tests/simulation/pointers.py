"""Where a pointer to a stream lies: in an inbox, in somebody's hands, or among the timers."""

from collections.abc import Iterator

from events.ids import pack_stream_id
from events.memory_store import PartitionState
from events.pointer import inbox_of_timer, unpack_pointer
from events.steps import Lane, Step


def has_pointer(partition: PartitionState, step: Step, stream: str, least: int) -> bool:
    """Whether the step will hear of the stream's event number `least` or a later one."""
    packed = pack_stream_id(stream)
    timers = (timer[1:] for timer in partition.due if inbox_of_timer(timer)[0] is step)
    pointers = (*_entries(partition, step), *timers)
    return any(pointer.startswith(packed) and unpack_pointer(pointer).version >= least for pointer in pointers)


def has_finish(partition: PartitionState, task: str) -> bool:
    """Whether somebody will be told that the task has ended."""
    return any(unpack_pointer(pointer).correlation_id == task for pointer in _entries(partition, Step.FINISH))


def _entries(partition: PartitionState, step: Step) -> Iterator[bytes]:
    for lane in Lane:
        yield from partition.inbox(step, lane).entries.values()
