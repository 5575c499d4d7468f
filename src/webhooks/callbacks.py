"""What became of a task's callback, as facts of the task."""

from collections.abc import Callable
from typing import Final

import structlog

from domain.commands import RecordCallbackDelivered, RecordCallbackFailed
from domain.deciders import TASK
from domain.errors import ImpossibleEvent, Refused
from domain.handle import Context, handle
from events.errors import ArchiveRefused, CorruptEvent, NewerFacts, SegmentDamaged, VersionGap
from events.ids import EventId
from events.log import EventLog
from webhooks.delivery import Attempt, Callback, Delivery

_NOT_TO_BE_RECORDED: Final = (
    Refused,
    NewerFacts,
    CorruptEvent,
    VersionGap,
    SegmentDamaged,
    ArchiveRefused,
    ImpossibleEvent,
)
"""The task is gone with the end of a log, or its history is damaged or of a newer program."""

_logger = structlog.get_logger(__name__)


class CallbackFacts:
    """`clock_us` is unix µs. Raises what the log raises, and Contention."""

    def __init__(
        self, event_log: EventLog, *, clock_us: Callable[[], int], new_event_id: Callable[[], EventId]
    ) -> None:
        self._log = event_log
        self._clock_us = clock_us
        self._new_event_id = new_event_id

    async def record(self, callback: Callback, delivery: Delivery, attempt: Attempt) -> None:
        """`delivery` as it is after the attempt. Saying it twice leads to one fact."""
        command: RecordCallbackDelivered | RecordCallbackFailed
        if attempt.is_success and attempt.status_code is not None:
            command = RecordCallbackDelivered(attempt=attempt.number, status_code=attempt.status_code)
        else:
            command = RecordCallbackFailed(
                attempt=attempt.number,
                status_code=attempt.status_code,
                next_attempt_at_us=delivery.next_attempt_at_us,
            )
        context = Context(
            clock_us=self._clock_us,
            new_event_id=self._new_event_id,
            correlation_id=callback.task_id,
            causation_id=EventId(delivery.event_id),
        )
        try:
            await handle(self._log, TASK, callback.task_id, [command], context)
        except _NOT_TO_BE_RECORDED as error:
            # The delivery has it all the same. Sending the message again would make nothing better.
            _logger.warning("callback_not_recorded", task=callback.task_id, error=type(error).__name__)
