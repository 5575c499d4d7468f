"""The last document ends the task: its tally becomes TaskFinished, once."""

from typing import Any

from domain.commands import FinishTask
from domain.decider import Decider
from domain.deciders import TASK
from events.ids import TaskId, parse_task_id
from events.inbox import Delivery
from events.log import EventLog
from events.steps import Step
from processors.step import Done, Outcome


class FinishStep:
    """Delivered when an append left no open document; a later one finds the task finished and leads to no event."""

    step = Step.FINISH

    def __init__(self, log: EventLog, *, time_limit_s: float) -> None:
        self._log = log
        self.time_limit_s = time_limit_s

    def subject(self, delivery: Delivery) -> tuple[Decider[Any, Any], str]:
        return TASK, _task_of(delivery)

    async def run(self, delivery: Delivery) -> Outcome:
        """Raises what the log raises."""
        return Done((FinishTask(tally=await self._log.tally(_task_of(delivery))),))


def _task_of(delivery: Delivery) -> TaskId:
    """A delivery that waits for a task's end is correlated with that task."""
    return parse_task_id(delivery.correlation_id)
