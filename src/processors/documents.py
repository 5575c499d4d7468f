"""What a delivery to a document means now: work to begin, an attempt to give up on, or something that is over."""

from domain.commands import FailStep, StartStep
from domain.decider import Folded, fold
from domain.deciders import DOCUMENT
from domain.document import DocumentState, attempts_at, awaited_step
from domain.handle import handle
from events.inbox import Delivery
from processors.attempt import Attempt
from processors.attempts import Attempts, attempts_of
from processors.failures import POISON_DOCUMENT
from processors.knowledge_bases import KnowledgeBases
from processors.step import Processor
from processors.workbench import Workbench


class DocumentDeliveries:
    """Carries out the deliveries of one document step."""

    def __init__(self, processor: Processor, bench: Workbench, knowledge_bases: KnowledgeBases) -> None:
        self._processor = processor
        self._bench = bench
        self._knowledge_bases = knowledge_bases

    async def carry_out(self, delivery: Delivery, tries: int) -> float | None:  # noqa: ARG002  tries are in the log
        """Everything from reading the history to the result in the log; never asks to be called again."""
        history = await self._bench.log.history(delivery.stream_id)
        document = fold(DOCUMENT, history)
        before = attempts_of(history, self._processor.step)
        if awaited_step(document.state) is not self._processor.step or before.called_at > delivery.version:
            self._bench.logger(delivery).info("delivery_is_over", state=type(document.state).__name__)
            await self._bench.inbox.acknowledge(delivery)
        elif before.is_open and before.fruitless >= self._bench.policy.abandoned_max:
            await self._park(delivery, document, before)
        else:
            await self._begin(delivery, document, before)
        return None

    async def _begin(self, delivery: Delivery, document: Folded[DocumentState], before: Attempts) -> None:
        step, worker = self._processor.step, self._bench.worker
        number = attempts_at(document.state, step) + 1
        handled = await handle(
            self._bench.log,
            DOCUMENT,
            delivery.stream_id,
            [StartStep(step=step, attempt=number, worker=worker)],
            self._bench.context(delivery),
            known=document,
        )
        if not handled.envelopes:
            await self._yield_to_others(delivery, handled.folded.state)
            return
        attempt = Attempt(
            self._processor,
            self._bench,
            self._knowledge_bases,
            delivery,
            number=number,
            started=handled.folded,
            before=before,
        )
        await attempt.carry_out()

    async def _yield_to_others(self, delivery: Delivery, now: DocumentState) -> None:
        """Somebody was first between reading and starting.

        If an attempt is under way the delivery is its to acknowledge: XACK by a former owner would succeed, and the
        new owner's death would then lose the document.
        """
        self._bench.logger(delivery).info("start_refused", state=type(now).__name__)
        if awaited_step(now) is not self._processor.step:
            await self._bench.inbox.acknowledge(delivery)

    async def _park(self, delivery: Delivery, document: Folded[DocumentState], before: Attempts) -> None:
        """A document that killed its worker each time must not kill workers for ever."""
        number = attempts_at(document.state, self._processor.step)
        self._bench.logger(delivery, attempt=number).error("document_parked", starts=before.fruitless)
        handled = await handle(
            self._bench.log,
            DOCUMENT,
            delivery.stream_id,
            [
                FailStep(
                    step=self._processor.step,
                    attempt=number,
                    code=POISON_DOCUMENT,
                    message=f"{before.fruitless} workers began this step and died in it",
                )
            ],
            self._bench.context(delivery),
            known=document,
            acknowledge=delivery,
        )
        if not handled.envelopes:
            await self._yield_to_others(delivery, handled.folded.state)
