"""Deliveries without attempts in a document's history: finishing tasks, erasing. Repeated until they are done."""

import asyncio
from collections.abc import Sequence
from typing import Any, assert_never

from domain.decider import Folded, fold_to_decide
from domain.errors import Refused
from domain.handle import handle
from events.envelope import Envelope
from events.errors import NewerFacts
from events.inbox import Delivery
from events.trace_context import traced_by
from processors.failures import INTERNAL_ERROR, TIME_LIMIT, outcome_of
from processors.observing import ErrandEnded
from processors.retry import after_outage
from processors.step import Done, Drop, Errand, Outcome, Reject, Retry, Superseded
from processors.workbench import Workbench


class ErrandDeliveries:
    """Carries out the deliveries of one errand."""

    def __init__(self, errand: Errand, bench: Workbench) -> None:
        self._errand = errand
        self._bench = bench

    async def carry_out(self, delivery: Delivery, tries: int, _history: list[Envelope] | None = None) -> float | None:
        """None when it is over, else the seconds until it shall be called again (`tries` + 1)."""
        logger = self._bench.logger(delivery, attempt=tries)
        began_us = self._bench.clock_us()
        outcome = await self._run(delivery)
        match outcome:
            case Done():
                await self._record(delivery, outcome, began_us)
                logger.info("errand_done")
            case Drop() | Superseded():
                logger.info("errand_done", outcome=type(outcome).__name__, reason=getattr(outcome, "reason", None))
                await self._lay_aside(delivery, outcome, began_us)
            case Retry() | Reject():
                # There is nobody to hand a dead letter to: what must vanish must vanish, so it is tried for ever.
                retry_after_s = outcome.retry_after_s if isinstance(outcome, Retry) else None
                delay_s = after_outage(self._bench.policy, tries, retry_after_s, self._bench.random())
                logger.warning("errand_delayed", code=outcome.code, reason=outcome.message, delay_s=round(delay_s, 3))
                return delay_s
            case _:
                assert_never(outcome)
        return None

    async def _run(self, delivery: Delivery) -> Outcome:
        limit_s = self._errand.time_limit_s
        try:
            async with asyncio.timeout(limit_s) as timer:
                return await self._errand.run(delivery)
        except NewerFacts:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and timer.expired():
                return Retry(TIME_LIMIT, f"the step took longer than {limit_s:g} s")
            expected = outcome_of(error)
            if expected is not None:
                return expected
            self._bench.logger(delivery).exception("errand_broke")
            return Retry(INTERNAL_ERROR, f"the step broke with {type(error).__name__}")

    async def _record(self, delivery: Delivery, outcome: Done, began_us: int) -> None:
        """Under the trace of what was done to the subject last: a task ends in the trace of its upload."""
        decider, stream_id = self._errand.subject(delivery)
        ran_us = self._bench.clock_us()
        history = await self._bench.log.history(stream_id)
        traced = _trace_of(history)
        with traced_by(traced):
            await self._append(delivery, outcome, fold_to_decide(decider, history))
        self._tell(delivery, outcome, began_us, ran_us, traced)

    async def _lay_aside(self, delivery: Delivery, outcome: Drop | Superseded, began_us: int) -> None:
        """It leaves no fact: what was done is told under the trace of what asked for it."""
        ran_us = self._bench.clock_us()
        await self._bench.inbox.acknowledge(delivery)
        _, stream_id = self._errand.subject(delivery)
        traced = _trace_of(await self._bench.log.history(stream_id))
        self._tell(delivery, outcome, began_us, ran_us, traced)

    def _tell(
        self, delivery: Delivery, outcome: Done | Drop | Superseded, began_us: int, ran_us: int, traced: str | None
    ) -> None:
        self._bench.observer.errand_ended(
            ErrandEnded(
                step=delivery.step,
                task=delivery.correlation_id,
                stream_id=self._errand.subject(delivery)[1],
                worker=self._bench.worker,
                outcome=type(outcome).__name__.lower(),
                reason=outcome.reason if isinstance(outcome, Drop) else None,
                began_us=began_us,
                ran_us=ran_us,
                recorded_us=self._bench.clock_us(),
                trace_parent=traced,
            )
        )

    async def _append(self, delivery: Delivery, outcome: Done, known: Folded[Any]) -> None:
        decider, stream_id = self._errand.subject(delivery)
        try:
            handled = await handle(
                self._bench.log,
                decider,
                stream_id,
                outcome.commands,
                self._bench.context(delivery),
                known=known,
                acknowledge=delivery,
            )
        except Refused as refused:
            self._bench.logger(delivery).warning("errand_refused", code=refused.code.value)
            await self._bench.inbox.acknowledge(delivery)
            return
        if not handled.envelopes:
            await self._bench.inbox.acknowledge(delivery)


def _trace_of(history: Sequence[Envelope]) -> str | None:
    """Of the last fact that belongs to one."""
    return next((envelope.trace_parent for envelope in reversed(history) if envelope.trace_parent), None)
