"""Who watches attempts: told as data, so that whoever watches neither waits for anything nor changes anything."""

from typing import Protocol

import msgspec
from msgspec.structs import replace

from events.steps import Step
from processors.step import Passed


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a step of a document, from the event that asked for it until its result was recorded.

    Times are unix µs; `asked_us` is when it was due. `outcome` is the name of what the processor answered, `code` that
    of its failure.
    """

    step: Step
    task: str
    document: str
    number: int
    worker: str
    outcome: str
    code: str | None
    asked_us: int
    began_us: int
    ran_us: int
    recorded_us: int
    trace_parent: str | None


class ErrandEnded(msgspec.Struct, frozen=True, kw_only=True):
    """One errand: from its start until the event that it led to was recorded, or nothing was left to record (unix µs).

    `stream_id` is what it was done to, `trace_parent` that of the last fact there which belongs to a trace. `outcome`
    is the name of what it answered; `reason` says why there is no event.
    """

    step: Step
    task: str
    stream_id: str
    worker: str
    outcome: str
    reason: str | None = None
    began_us: int
    ran_us: int
    recorded_us: int
    trace_parent: str | None


def passed(through: Ended, step: Passed) -> Ended:
    """A step that an attempt at an earlier one has carried out, recorded with it: due when it began."""
    return replace(
        through,
        step=step.step,
        number=step.number,
        asked_us=step.began_us,
        began_us=step.began_us,
        ran_us=step.ran_us,
    )


class AttemptObserver(Protocol):
    """Called in the worker's event loop; raises nothing."""

    def began(self, step: Step) -> None:
        """An attempt is in the log."""
        ...

    def ended(self, attempt: Ended) -> None:
        """Its result is in the log, or it was refused there."""
        ...

    def left(self, step: Step) -> None:
        """It is in this worker's hands no more, ended or not."""
        ...

    def errand_ended(self, errand: ErrandEnded) -> None:
        """It is over: what it led to is in the log, or stands without an event."""
        ...


class NobodyWatches:
    """Where nothing is measured."""

    def began(self, step: Step) -> None: ...

    def ended(self, attempt: Ended) -> None: ...

    def left(self, step: Step) -> None: ...

    def errand_ended(self, errand: ErrandEnded) -> None: ...
