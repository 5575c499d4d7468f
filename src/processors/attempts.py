"""Pure: what a document's history says about the attempts at one step. Attempts are counted from the log alone."""

from collections.abc import Iterable

import msgspec

from events import document as facts
from events.envelope import Envelope
from events.routing import ToInbox, ToInboxAt, route
from events.steps import Step
from processors.retry import OUTAGE_CODES


class Attempts(msgspec.Struct, frozen=True):
    """Counted since the last reprocessing request.

    `called_at` is the version of the last event that leads to the step: an older delivery is a duplicate.
    `failures` are the codes of recorded failures, oldest first. `abandoned` starts ended neither in a failure nor in
    progress (a batch), because their worker died; `is_open`: the last start has not ended yet.
    """

    called_at: int = 0
    failures: tuple[str, ...] = ()
    abandoned: int = 0
    is_open: bool = False

    @property
    def outages(self) -> int:
        return sum(code in OUTAGE_CODES for code in self.failures)

    @property
    def fruitless(self) -> int:
        """Starts without an end, the last one included."""
        return self.abandoned + self.is_open

    @property
    def counted(self) -> int:
        """Attempts that count against the document, before one more is begun."""
        return len(self.failures) - self.outages + self.fruitless


def attempts_of(history: Iterable[Envelope], step: Step) -> Attempts:
    """Folds a document's history (in order, from its first event)."""
    attempts = Attempts()
    for envelope in history:
        attempts = _after(attempts, envelope, step)
    return attempts


def _after(attempts: Attempts, envelope: Envelope, step: Step) -> Attempts:
    if any(isinstance(one, ToInbox | ToInboxAt) and one.step is step for one in route(envelope.event)):
        attempts = msgspec.structs.replace(attempts, called_at=envelope.version)
    match envelope.event:
        case facts.ReprocessingRequested():
            return Attempts(called_at=attempts.called_at)
        case facts.StepStarted(step=started) if started is step:
            return msgspec.structs.replace(attempts, abandoned=attempts.fruitless, is_open=True)
        case facts.StepFailed(step=failed) if failed is step:
            return msgspec.structs.replace(attempts, failures=(*attempts.failures, envelope.event.code), is_open=False)
        case facts.ChunksEmbedded() if step is Step.EMBED:
            # Progress: a worker that dies behind it says nothing against the document.
            return msgspec.structs.replace(attempts, abandoned=0, is_open=False)
        case _:
            return attempts
