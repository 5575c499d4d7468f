"""Asking and waiting: the state of a task once it is another one than the caller knows."""

from collections.abc import Callable
from enum import StrEnum

from events.ids import TaskId
from projections.changes import by_itself
from projections.subscription import Frame, Taken, frame_of
from projections.watching import Watch


class Until(StrEnum):
    """What a caller waits for."""

    CHANGED = "changed"
    ENDED = "ended"


async def told_within(
    watch: Watch,
    task: TaskId,
    *,
    told: int,
    is_known: Callable[[int], bool],
    until: Until = Until.CHANGED,
    wait_s: float,
    now_s: Callable[[], float],
) -> Frame:
    """The task's state once its version is not known, or, whatever is known, once it has ended; else as it is after
    `wait_s`.

    `told` is the newest version that the caller has. Whoever waits is told what the tailer has read for all of them:
    of 30 tasks of ten documents, asked for at each change, this is a read of the task less for each answer and none of
    its documents.
    """
    deadline_s = now_s() + wait_s
    with watch.tailer.watching(by_itself(task)) as subscription:
        frame = frame_of(task, "status", await watch.queries.task(task, told=told))
        if until is Until.CHANGED and not is_known(frame.version):
            return frame
        while not frame.is_end and not subscription.is_closed:
            rest_s = deadline_s - now_s()
            if rest_s <= 0 or not await subscription.wait(rest_s):
                break
            before, frame = frame, await _newest(watch, task, frame, subscription.take())
            if until is Until.CHANGED and frame.version != before.version:
                break
    return frame


async def _newest(watch: Watch, task: TaskId, known: Frame, taken: Taken) -> Frame:
    newer = [one for one in taken.frames if one.version > known.version]
    if newer and watch.queries.is_as_new_as_told(task, newer[-1].version):
        return newer[-1]
    if taken.is_fresh_start or newer:
        # Where the log has lost its end versions begin again lower; and who asks twice is told nothing older.
        return frame_of(task, "status", await watch.queries.task(task, told=known.version))
    return known
