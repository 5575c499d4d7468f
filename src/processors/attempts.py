"""Pure: what a document's history says about the attempts at one step. Attempts are counted from the log alone."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from domain.document import DocumentState, Open, Running, awaited_step
from domain.handle import Context
from events import document as facts
from events.envelope import Envelope
from events.epochs import EPOCH_FIRST, epoch_of
from events.inbox import Delivery
from events.routing import Route, ToInbox, ToInboxAt, route
from events.steps import Step
from processors.retry import OUTAGE_CODES, WAIT_CODES


class Attempts(msgspec.Struct, frozen=True):
    """Counted since the last reprocessing request.

    `called_at` is the version of the last event that leads to the step, which is due at `called_at_us`: an older
    delivery is a duplicate.
    `failures` are the codes of recorded failures, oldest first. `abandoned` starts ended neither in a failure nor in
    progress (a batch), because their worker died; `is_open`: the last start has not ended yet. It was asked for by
    `begun_by` (an entry of the step's inbox; empty where the fact is older than this field) at `begun_at_us`. `epoch`
    is that of the log when its history was read.
    """

    called_at: int = 0
    called_at_us: int = 0
    failures: tuple[str, ...] = ()
    abandoned: int = 0
    is_open: bool = False
    begun_by: str = ""
    begun_at_us: int = 0
    epoch: int = EPOCH_FIRST

    @property
    def outages(self) -> int:
        """Those that lengthen the next delay; a wait for a limit is none."""
        return sum(code in OUTAGE_CODES - WAIT_CODES for code in self.failures)

    @property
    def fruitless(self) -> int:
        """Starts without an end, the last one included."""
        return self.abandoned + self.is_open

    @property
    def counted(self) -> int:
        """Attempts that count against the document, before one more is begun."""
        return sum(code not in OUTAGE_CODES for code in self.failures) + self.fruitless


def attempts_of(history: Sequence[Envelope], step: Step) -> Attempts:
    """Folds a document's history (in order, from its first event)."""
    attempts = Attempts(epoch=epoch_of(history))
    for envelope in history:
        attempts = _after(attempts, envelope, step)
    return attempts


def attempts_before(history: Sequence[Envelope], step: Step, number: int) -> Attempts:
    """Those ahead of attempt `number`, as its worker counted them when it began; all of them where it never began."""
    begun = [place for place, one in enumerate(history) if _begins(one, step, number)]
    return attempts_of(history[: begun[-1]] if begun else history, step)


def is_over(state: DocumentState, attempts: Attempts, delivery: Delivery) -> bool:
    """Whether a delivery asks for nothing any more: the document waits for another step, or for none, or a later event
    leads to this one (it was cancelled and begun again, say) and brings a delivery of its own."""
    return awaited_step(state) is not delivery.step or attempts.called_at > delivery.version


def is_double(state: DocumentState, attempts: Attempts, delivery: Delivery) -> bool:
    """Whether another delivery of the same event is being carried out.

    Beginning anew would break that attempt off, and of several doubles the last would find a document at which one
    worker after the other seems to have died.
    """
    is_running = isinstance(state, Open) and isinstance(state.activity, Running)
    return is_running and attempts.begun_by not in {"", delivery.entry_id}


def asked_by(history: Iterable[Envelope], delivery: Delivery) -> Envelope | None:
    """The event that a delivery points to; None where its stream does not hold it."""
    return next((one for one in history if one.version == delivery.version), None)


def _after(attempts: Attempts, envelope: Envelope, step: Step) -> Attempts:
    for found in route(envelope.event):
        if _leads_to(found, step):
            due_us = _due_us(envelope, found)
            if attempts.called_at == envelope.version:  # one event may lead there twice
                due_us = max(due_us, attempts.called_at_us)
            attempts = msgspec.structs.replace(attempts, called_at=envelope.version, called_at_us=due_us)
    if type(envelope.event) not in _TOLD_BY:
        return attempts
    match envelope.event:
        case facts.ReprocessingRequested():
            return Attempts(called_at=attempts.called_at, called_at_us=attempts.called_at_us)
        case facts.StepStarted(step=started) if started is step:
            return msgspec.structs.replace(
                attempts,
                abandoned=attempts.fruitless,
                is_open=True,
                begun_by=envelope.event.delivery,
                begun_at_us=envelope.recorded_at_us,
            )
        case facts.StepFailed(step=failed) if failed is step:
            return Attempts(
                called_at=attempts.called_at,
                called_at_us=attempts.called_at_us,
                failures=(*attempts.failures, envelope.event.code),
                abandoned=attempts.abandoned,
            )
        case facts.ChunksEmbedded() if step is Step.EMBED:
            # Progress: a worker that dies behind it says nothing against the document, and failures before it say
            # nothing about what is still to do. A document of 3,000 batches may meet a bad minute more than five times.
            return msgspec.structs.replace(attempts, failures=(), abandoned=0, is_open=False)
        case _:
            return attempts


_TOLD_BY: Final = frozenset({facts.ReprocessingRequested, facts.StepStarted, facts.StepFailed, facts.ChunksEmbedded})
"""Facts that say something of attempts; to ask for each of them costs 65 ns an event."""


def _begins(envelope: Envelope, step: Step, number: int) -> bool:
    event = envelope.event
    return isinstance(event, facts.StepStarted) and event.step is step and event.attempt == number


def _leads_to(found: Route, step: Step) -> bool:
    return isinstance(found, ToInbox | ToInboxAt) and found.step is step


def _due_us(envelope: Envelope, found: Route) -> int:
    return max(envelope.recorded_at_us, found.due_at_us) if isinstance(found, ToInboxAt) else envelope.recorded_at_us


def as_told(context: Context, told_us: Sequence[int]) -> Context:
    """With the time at which each command came to pass, as long as each leads to one event; where another writer was
    first and all is decided anew, that is now."""
    if not told_us:
        return context
    told = iter(told_us)
    return replace(context, clock_us=lambda: next(told, 0) or context.clock_us())
