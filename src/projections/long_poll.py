"""Asking and waiting: the state of a task once it is another one than the caller knows."""

from collections.abc import Callable

from domain.status import TaskStatus
from events.ids import TaskId
from projections.subscription import TERMINAL
from projections.watching import Watch


async def changed_within(
    watch: Watch, task: TaskId, *, known: int, wait_s: float, now_s: Callable[[], float]
) -> TaskStatus:
    """The task's state once it is another version than `known`, or has ended; else as it is after `wait_s`."""
    deadline_s = now_s() + wait_s
    with watch.tailer.watching(task) as subscription:
        status = await watch.queries.task(task, told=known)
        while status.version == known and status.status not in TERMINAL and not subscription.is_closed:
            rest_s = deadline_s - now_s()
            if rest_s <= 0 or not await subscription.wait(rest_s):
                break
            subscription.take()
            status = await watch.queries.task(task, told=known)
    return status
