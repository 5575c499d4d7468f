"""One attempt at one step of one document: run it under its time limit, then report how it ended."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, assert_never

import structlog
from msgspec.structs import replace

from domain.commands import DocumentCommand, FailStep
from domain.decider import Folded
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Open, Running, Skipped
from domain.handle import handle, load
from domain.replacing import removals_of
from events.epochs import fence_of
from events.errors import LogError
from events.failpoints import Place, failpoint
from events.ids import DocumentId
from events.inbox import Delivery
from events.trace_context import trace_parent
from processors.attempts import Attempts, as_told, attempts_of, is_over
from processors.failures import INTERNAL_ERROR, TIME_LIMIT, WORKER_STOPPED, outcome_of
from processors.knowledge_bases import KnowledgeBases
from processors.observing import Ended, passed
from processors.retry import OUTAGE_CODES, after_outage, next_attempt
from processors.step import Done, Drop, Outcome, Processor, Reject, Retry, Superseded, Work, WorkerLost
from processors.workbench import Workbench

HAND_OVER_S = 1.0
"""A stopping worker waits no longer for the log; with the drain it stays within the 10 s that an init system gives."""


class _TakenOver(Exception):
    """Others went on with the document while this attempt was about to report."""

    def __init__(self, now: Folded[DocumentState]) -> None:
        super().__init__("the document went on without this attempt")
        self.now = now


class Attempt:
    """An attempt that StepStarted has entered into the log. `before` counts the attempts ahead of this one."""

    def __init__(
        self,
        processor: Processor,
        bench: Workbench,
        knowledge_bases: KnowledgeBases,
        delivery: Delivery,
        *,
        number: int,
        started: Folded[DocumentState],
        before: Attempts,
    ) -> None:
        self._processor = processor
        self._bench = bench
        self._delivery = delivery
        self._number = number
        self._folded = started
        self._before = before
        self._log = bench.logger(delivery, attempt=number)
        self._work = Work(
            delivery=delivery,
            document=started.state,
            version=started.version,
            fence=fence_of(before.epoch, started.version),
            attempt=number,
            worker=bench.worker,
            failures=before.failures,
            record=self._record,
            caught_up=self._caught_up,
            knowledge_base=lambda: knowledge_bases.active(delivery.knowledge_base_id),
            knowledge_base_now=lambda: knowledge_bases.active(delivery.knowledge_base_id, is_fresh=True),
        )

    @property
    def document_id(self) -> str:
        return self._delivery.stream_id

    @property
    def known_version(self) -> int:
        """Where the document's stream stood after what this attempt appended or read last."""
        return self._folded.version

    def is_wanted(self, now: DocumentState) -> bool:
        """Whether this very attempt is under way."""
        activity = now.activity if isinstance(now, Open) else None
        return (
            isinstance(activity, Running)
            and activity.step is self._delivery.step
            and activity.attempt == self._number
            and activity.worker == self._bench.worker
        )

    async def carry_out(self) -> None:
        """Runs the processor and reports. Raises WorkerLost and what the inbox raises; the log is waited for."""
        step, observer = self._delivery.step, self._bench.observer
        observer.began(step)
        structlog.contextvars.bind_contextvars(attempt=self._number)  # the context is the delivery's, see the runner
        try:
            await self._carry_out()
        finally:
            observer.left(step)

    async def _carry_out(self) -> None:
        began_us = self._bench.clock_us()
        try:
            outcome = await self._run()
        except asyncio.CancelledError:
            await self._hand_over()
            raise
        self._log.info("attempt_ended", outcome=type(outcome).__name__, code=getattr(outcome, "code", None))
        ran_us = self._bench.clock_us()
        further = outcome.passed if isinstance(outcome, Done) else ()
        for one in further:
            logger = self._bench.logger(self._delivery, attempt=one.number)
            logger.info("attempt_ended", step=one.step.value, outcome=Done.__name__)
        await self._report(outcome)
        told = self._told(outcome, began_us, ran_us)
        for ended in (told, *(passed(told, one) for one in further)):
            self._bench.observer.ended(ended)

    def _told(self, outcome: Outcome, began_us: int, ran_us: int) -> Ended:
        return Ended(
            step=self._delivery.step,
            task=self._delivery.correlation_id,
            document=self._delivery.stream_id,
            number=self._number,
            worker=self._bench.worker,
            outcome=type(outcome).__name__.lower(),
            code=getattr(outcome, "code", None),
            asked_us=min(self._before.called_at_us, began_us),
            began_us=began_us,
            ran_us=ran_us,
            recorded_us=self._bench.clock_us(),
            trace_parent=trace_parent(),
        )

    async def _run(self) -> Outcome:
        limit_s = self._processor.time_limit_s
        try:
            async with asyncio.timeout(limit_s) as timer:
                with self._bench.watch.over(self, timer) as watching:
                    return await self._processor.run(self._work)
        except WorkerLost:
            raise
        except Exception as error:
            if timer.expired() and watching.is_unwanted:
                return Superseded()
            if isinstance(error, TimeoutError) and timer.expired():
                return Retry(TIME_LIMIT, f"the step took longer than {limit_s:g} s")
            expected = outcome_of(error)
            if expected is not None:
                return expected
            self._log.exception("attempt_broke")
            return Retry(INTERNAL_ERROR, f"the step broke with {type(error).__name__}; its log has the details")

    async def _hand_over(self) -> None:
        """The worker stops before the step has ended: that is a fact, or three restarts in a row would look like a
        document that kills its workers. The step is due at once, for whoever is there."""
        try:
            async with asyncio.timeout(HAND_OVER_S):
                message = "the worker was stopped before the step had ended"
                await self._append((self._failure(WORKER_STOPPED, message, self._bench.clock_us()),))
        except (TimeoutError, LogError) as error:
            # The delivery is given back without the fact; it is claimed like that of a dead worker.
            self._log.warning("hand_over_failed", error=type(error).__name__)

    async def _report(self, outcome: Outcome) -> None:
        match outcome:
            case Done():
                failpoint(Place.WORKER_BEFORE_RESULT)
                await self._append(outcome.commands, replaces=outcome.replaces, told_us=outcome.told_us)
            case Retry():
                await self._fail(self._failure(outcome.code, outcome.message, self._retry_at_us(outcome)))
            case Reject():
                await self._fail(self._failure(outcome.code, outcome.message, None))
            case Drop() | Superseded():
                self._folded = await self._reloaded()
                await self._go_without(self._folded.state)
            case _:
                assert_never(outcome)

    async def _fail(self, failure: FailStep) -> None:
        if failure.retry_at_us is not None:
            await self._append((failure,))
        # Nobody comes back to the document by itself after this fact, so the delivery stays until what the attempts
        # did is taken back: a crash in between hands that on to whoever claims it.
        elif await self._append((failure,), acknowledge=False):
            await self._lay_down(self._folded.state)

    async def _append(
        self,
        commands: Sequence[Any],
        *,
        acknowledge: bool = True,
        replaces: DocumentId | None = None,
        told_us: Sequence[int] = (),
    ) -> bool:
        context = self._bench.context(self._delivery)
        try:
            handled = await handle(
                self._bench.log,
                DOCUMENT,
                self._delivery.stream_id,
                commands,
                as_told(context, told_us),
                known=self._folded,
                acknowledge=self._delivery if acknowledge else None,
                beside=None if replaces is None else partial(removals_of, self._bench.log, replaces, context),
                allows=self._if_still_wanted if told_us else None,
            )
        except _TakenOver as error:
            self._folded = error.now
            await self._go_without(error.now.state)
            return False
        self._folded = handled.folded
        failpoint(Place.WORKER_RESULT_APPENDED)
        if not handled.envelopes:
            await self._go_without(handled.folded.state)
        elif isinstance(handled.folded.state, Skipped):
            await self.take_back(handled.folded.state)
        return bool(handled.envelopes)

    def _if_still_wanted(self, now: Folded[DocumentState]) -> None:
        """All steps of one turn count, or none: somebody else may be at a later one, under the same number."""
        if not self.is_wanted(now.state):
            raise _TakenOver(now)

    async def _go_without(self, now: DocumentState) -> None:
        """The result was refused. A delivery that another attempt works on is that attempt's to acknowledge."""
        if self.is_wanted(now):
            # Nobody else is at it, so silence would leave the document waiting for ever.
            failure = Retry(INTERNAL_ERROR, "the result does not fit the state of the document")
            await self._append((self._failure(failure.code, failure.message, self._retry_at_us(failure)),))
            return
        self._log.info("attempt_superseded", state=type(now).__name__)
        await self._lay_down(now)

    async def _lay_down(self, now: DocumentState) -> None:
        await self.take_back(now)
        history = await self._bench.log.history(self._delivery.stream_id)
        if is_over(now, attempts_of(history, self._delivery.step), self._delivery):
            await self._bench.inbox.acknowledge(self._delivery)

    async def take_back(self, now: DocumentState) -> None:
        """Side effects that nobody wants vanish even where the stores are away for a while."""
        tries = 0
        while True:
            try:
                return await self._processor.abandon(self._work, now)
            except Exception as error:
                tries += 1
                delay_s = after_outage(self._bench.policy, tries, None, self._bench.random())
                expected = outcome_of(error)
                if not (isinstance(expected, Retry) and expected.code in OUTAGE_CODES):
                    raise
                self._log.warning("taking_back_delayed", code=expected.code, delay_s=round(delay_s, 3))
            await asyncio.sleep(delay_s)

    async def _record(self, command: DocumentCommand) -> bool:
        handled = await handle(
            self._bench.log,
            DOCUMENT,
            self._delivery.stream_id,
            [command],
            self._bench.context(self._delivery),
            known=self._folded,
        )
        self._folded = handled.folded
        return bool(handled.envelopes) and self.is_wanted(handled.folded.state)

    async def _caught_up(self) -> Work:
        """Nothing of this attempt is on its way into the log meanwhile."""
        self._folded = await self._reloaded()
        return replace(self._work, document=self._folded.state)

    def _failure(self, code: str, message: str, retry_at_us: int | None) -> FailStep:
        return FailStep(
            step=self._delivery.step, attempt=self._number, code=code, message=message, retry_at_us=retry_at_us
        )

    def _retry_at_us(self, retry: Retry) -> int | None:
        policy, random = self._bench.policy, self._bench.random()
        delay_s: float | None
        if retry.code in OUTAGE_CODES:
            delay_s = after_outage(policy, self._before.outages + 1, retry.retry_after_s, random)
        else:
            delay_s = next_attempt(policy, self._before.counted + 1, retry.retry_after_s, random)
        return None if delay_s is None else self._bench.clock_us() + round(delay_s * 1_000_000)

    async def _reloaded(self) -> Folded[DocumentState]:
        return await load(self._bench.log, DOCUMENT, self._delivery.stream_id)
