"""What a delivery to a document means now: work to begin, an attempt to give up on, or something that is over."""

from typing import Final

from domain.amounts import counted
from domain.commands import FailStep, StartStep
from domain.decider import Folded, fold_to_decide
from domain.deciders import DOCUMENT
from domain.document import DocumentState
from domain.document_stages import attempts_at
from domain.handle import handle
from events.envelope import Envelope
from events.failpoints import Place, failpoint
from events.inbox import Delivery, InboxKey
from events.steps import Lane
from events.trace_context import traced_by
from processors.attempt import Attempt
from processors.attempts import Attempts, asked_by, attempts_of, is_double, is_over
from processors.failures import POISON_DOCUMENT
from processors.knowledge_bases import KnowledgeBases
from processors.retry import RetryPolicy, after_outage
from processors.step import Processor
from processors.workbench import Workbench

DOUBLES: Final = RetryPolicy(base_s=0.25, cap_s=5.0)
"""When a double of a delivery looks again whether the work that both ask for has been done."""


class DocumentDeliveries:
    """Carries out the deliveries of one document step."""

    def __init__(self, processor: Processor, bench: Workbench, knowledge_bases: KnowledgeBases) -> None:
        self._processor = processor
        self._bench = bench
        self._knowledge_bases = knowledge_bases

    async def carry_out(self, delivery: Delivery, tries: int, history: list[Envelope] | None = None) -> float | None:
        """Everything from reading the history to the result in the log. Only the double of a delivery that is being
        carried out asks to be called again: it is over when that one is.

        A `history` that came along may be behind by now, as one that is read may be: the append that begins compares,
        and what ends a delivery without one looks again.
        """
        if history is None:
            history = await self._bench.log.history(delivery.stream_id)
        asked = asked_by(history, delivery)
        with traced_by(None if asked is None else asked.trace_parent):
            return await self._carry_out(delivery, tries, history)

    async def _carry_out(
        self, delivery: Delivery, tries: int, history: list[Envelope], *, lost: str = ""
    ) -> float | None:
        """`lost` is an entry that no inbox has any more: nobody carries it out."""
        document = fold_to_decide(DOCUMENT, history)
        before = attempts_of(history, self._processor.step)
        if is_over(document.state, before, delivery):
            await self._lay_aside(delivery, document, before)
        elif is_double(document.state, before, delivery) and before.begun_by != lost and not self._has_run_out(before):
            return await self._wait_for_double(delivery, tries, before)
        elif before.is_open and before.fruitless >= self._bench.policy.abandoned_max:
            await self._park(delivery, document, before)
        elif before.fruitless + 1 >= self._bench.policy.abandoned_max:
            # Whatever was under way when a worker died is claimed together. Side by side with the one that kills,
            # its neighbours would be parked for it: of those whose next death is their last, one runs at a time.
            async with self._bench.last_chance:
                await self._begin(delivery, document, before)
        else:
            await self._begin(delivery, document, before)
        return None

    async def _wait_for_double(self, delivery: Delivery, tries: int, before: Attempts) -> float | None:
        """As long as the other delivery is there. Inboxes that were made anew, by a restore or a rebuild, have none of
        those that began the attempts in the log."""
        keys = [InboxKey(delivery.partition, delivery.step, lane) for lane in Lane]
        if any([await self._bench.inbox.holds(key, before.begun_by) for key in keys]):
            return after_outage(DOUBLES, tries, None, self._bench.random())
        # It may have ended since the history was read, which takes its entry out too.
        history = await self._bench.log.history(delivery.stream_id)
        return await self._carry_out(delivery, tries, history, lost=before.begun_by)

    async def _lay_aside(self, delivery: Delivery, document: Folded[DocumentState], before: Attempts) -> None:
        """Whoever acknowledges is the last to know of what was done for it: an attempt whose reply was lost, or whose
        worker died, may have left rows of a document that was cancelled or removed since."""
        self._bench.logger(delivery).info("delivery_is_over", state=type(document.state).__name__)
        number = attempts_at(document.state, self._processor.step)
        await self._attempt(delivery, number, document, before).take_back(document.state)
        # Taking back may have waited for the stores: a log that went back meanwhile asks for the step again.
        history = await self._bench.log.history(delivery.stream_id)
        if is_over(fold_to_decide(DOCUMENT, history).state, attempts_of(history, self._processor.step), delivery):
            await self._bench.inbox.acknowledge(delivery)

    def _has_run_out(self, before: Attempts) -> bool:
        """No attempt takes longer than its time limit. If one seems to, the delivery that asked for it is lost, and its
        double is all that is left."""
        return self._bench.clock_us() - before.begun_at_us > self._processor.time_limit_s * 1_000_000

    async def _begin(self, delivery: Delivery, document: Folded[DocumentState], before: Attempts) -> None:
        step, worker = self._processor.step, self._bench.worker
        number = attempts_at(document.state, step) + 1
        failpoint(Place.WORKER_TAKEN)
        handled = await handle(
            self._bench.log,
            DOCUMENT,
            delivery.stream_id,
            [StartStep(step=step, attempt=number, worker=worker, delivery=delivery.entry_id)],
            self._bench.context(delivery),
            known=document,
        )
        if not handled.envelopes:
            await self._yield_to_others(delivery)
            return
        await self._attempt(delivery, number, handled.folded, before).carry_out()
        failpoint(Place.WORKER_ACKNOWLEDGED)

    def _attempt(self, delivery: Delivery, number: int, document: Folded[DocumentState], before: Attempts) -> Attempt:
        return Attempt(
            self._processor,
            self._bench,
            self._knowledge_bases,
            delivery,
            number=number,
            started=document,
            before=before,
        )

    async def _yield_to_others(self, delivery: Delivery) -> None:
        """Somebody was first between reading and starting.

        If an attempt is under way the delivery is its to acknowledge: XACK by a former owner would succeed, and the
        new owner's death would then lose the document.
        """
        history = await self._bench.log.history(delivery.stream_id)
        now, attempts = fold_to_decide(DOCUMENT, history), attempts_of(history, delivery.step)
        self._bench.logger(delivery).info("start_refused", state=type(now.state).__name__)
        if is_over(now.state, attempts, delivery):
            await self._lay_aside(delivery, now, attempts)

    async def _park(self, delivery: Delivery, document: Folded[DocumentState], before: Attempts) -> None:
        """A document that killed its worker each time must not kill workers for ever."""
        number = attempts_at(document.state, self._processor.step)
        self._bench.logger(delivery, attempt=number).error("document_parked", starts=before.fruitless)
        failure = FailStep(
            step=self._processor.step,
            attempt=number,
            code=POISON_DOCUMENT,
            message=f"{counted(before.fruitless, 'worker')} began this step and died in it",
        )
        handled = await handle(
            self._bench.log,
            DOCUMENT,
            delivery.stream_id,
            [failure],
            self._bench.context(delivery),
            known=document,
        )
        if handled.envelopes:
            await self._lay_aside(delivery, handled.folded, before)
        else:
            await self._yield_to_others(delivery)
