"""Leases that another process gave: renewed, read for and answered here, from their records and the log.

Whoever gave one may be alive, with the worker behind a balancer, or dead. Either way the attempt that the log says is
under way is ended here, under its own number and in the name of its worker, by the steps that would have ended it
there: the log takes one end of an attempt. A process that is alive learns of it as of any document that went on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Final

from domain.decider import Folded, fold_to_decide
from domain.deciders import DOCUMENT
from domain.document import Accepted, DocumentState
from events.envelope import Envelope
from events.errors import LogFull, LogUnavailable
from events.steps import Step
from events.trace_context import traced_by
from processors.attempt import Attempt
from processors.attempts import asked_by, attempts_before
from processors.given_answer import GivenAnswer, LeftToItsProcess
from processors.knowledge_bases import KnowledgeBases
from processors.lease_records import LeaseRecord, LeaseRecords
from processors.leased_parts import LeasedParts
from processors.leased_steps import LeasedStep, leased_embed, leased_parse
from processors.leased_work import Answer
from processors.leases import RIGHT_MS, VERDICT_S, LeaseLost, NoSource
from processors.parse import verified
from processors.patience import Patience, PatientLog
from processors.verdicts import Lost, Recorded, Verdict

GOES_ON_S_MAX: Final = 3.0
"""How long whoever gave a lease has to notice that a piece of its attempt was recorded elsewhere: it looks every
0.25 s (`WorkerSettings.watch_interval_ms`). It may have died, and what is left of the attempt is then anybody's."""

GOES_ON_LOOK_S: Final = 0.25


class LeaseBusy(Exception):
    """Another process is ending it: the same answer, repeated in a moment, is told what became of it."""


class LeaseTakeover:
    """`process` is unique to this one, `lease_s` how long a lease lasts without a sign of life."""

    def __init__(self, records: LeaseRecords, parts: LeasedParts, *, process: str, lease_s: float) -> None:
        self._records = records
        self._parts = parts
        self._process = process
        self._lease_ms = round(lease_s * 1_000)
        self._kept_ms = round(max(lease_s, VERDICT_S) * 1_000)
        self._log = PatientLog(parts.log, random=parts.rng.random)
        self._patience = Patience(random=parts.rng.random)
        self._known = KnowledgeBases(self._log, clock_us=parts.clock_us)
        self._told: dict[str, asyncio.Future[Verdict]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def renew(self, token: str, holder: str) -> None:
        """The lease begins anew, and its consumer lives: nobody claims what its worker is at. Raises LeaseLost."""
        record = await self._open_record(token, holder)
        if not await self._records.renew(token, for_ms=self._lease_ms):
            raise LeaseLost
        await self._parts.inbox.beat(record.worker)

    async def source(self, token: str, holder: str) -> AsyncIterator[bytes]:
        """The bytes of the document to parse, as `verified`. Raises LeaseLost and NoSource."""
        record = await self._open_record(token, holder)
        if record.delivery.step is not Step.PARSE:
            raise NoSource
        history = await self._log.history(record.delivery.stream_id)
        attempt = self._attempt(record, GivenAnswer(record, None), history)
        document = fold_to_decide(DOCUMENT, history).state
        if attempt is None or not isinstance(document, Accepted):
            raise LeaseLost
        return verified(self._parts.blobs, document.record.about)

    async def give(self, token: str, holder: str, answer: Answer | Exception) -> Verdict:
        """Ends the attempt with the answer, or the error that its source gave. Raises LeaseBusy.

        Whoever stops waiting takes nothing back.
        """
        if (told := self._told.get(token)) is None:
            found = await self._records.find(token)
            if found is None or found.record.holder != holder:
                return Lost()
            if found.verdict is not None:
                return found.verdict
            # Another call may have begun meanwhile.
            told = self._told.get(token) or self._begun(token, found.record, answer)
        return await asyncio.shield(told)

    async def close(self, within_s: float) -> None:
        """What is being ended is ended, or handed over."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=within_s)
        for task in list(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begun(self, token: str, record: LeaseRecord, answer: Answer | Exception) -> asyncio.Future[Verdict]:
        """The verdict comes as soon as the answer is recorded; what is left of the attempt may take longer."""
        told: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._told[token] = told
        task = asyncio.create_task(self._end(token, record, answer, told))
        self._ending.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._ending.discard(task)
            del self._told[token]
            if not told.done():
                told.cancel()

        task.add_done_callback(ended)
        return told

    async def _end(
        self, token: str, record: LeaseRecord, answer: Answer | Exception, told: asyncio.Future[Verdict]
    ) -> None:
        try:
            told_at_last = await self._verdict(token, record, answer, told)
        except Exception as error:
            if told.done():
                raise
            told.set_exception(error)
        else:
            if not told.done():
                told.set_result(told_at_last)

    async def _verdict(
        self, token: str, record: LeaseRecord, answer: Answer | Exception, told: asyncio.Future[Verdict]
    ) -> Verdict:
        records, by = self._records, self._process
        if not await records.take(token, record, by=by, for_ms=self._lease_ms, right_ms=RIGHT_MS):
            found = await records.find(token)
            if found is None or found.verdict is None:
                raise LeaseBusy
            return found.verdict

        async def goes_on() -> bool:
            """The piece is recorded, and the attempt has others: does the process that gave the lease go on?"""
            settle = partial(records.settle, token, record, Recorded(), by=by, kept_ms=self._kept_ms)
            await self._patience(settle)
            told.set_result(Recorded())
            return await self._is_followed(token, record.worker)

        await self._parts.inbox.beat(record.worker)
        verdict = await self._carry_out(record, GivenAnswer(record, answer, goes_on))
        if not told.done():
            await records.settle(token, record, verdict, by=by, kept_ms=self._kept_ms)
        return verdict

    async def _is_followed(self, token: str, worker: str) -> bool:
        """Meanwhile its consumer lives: else the document would be claimed, with a start that has no end. While Redis
        does not answer, whoever gave the lease sees nothing either: it has its time behind that."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GOES_ON_S_MAX
        while loop.time() < until_s:
            try:
                found = await self._records.find(token)
                if found is None or found.is_followed:
                    return found is not None
                await self._parts.inbox.beat(worker)
            except (LogUnavailable, LogFull):
                until_s = loop.time() + GOES_ON_S_MAX
            await asyncio.sleep(GOES_ON_LOOK_S)
        return False

    async def _carry_out(self, record: LeaseRecord, given: GivenAnswer) -> Verdict:
        delivery = record.delivery
        history = await self._log.history(delivery.stream_id)
        attempt = self._attempt(record, given, history)
        if attempt is None:
            return Lost()
        asked = asked_by(history, delivery)
        with traced_by(None if asked is None else asked.trace_parent), suppress(LeftToItsProcess):
            await attempt.carry_out()
        return given.verdict

    async def _open_record(self, token: str, holder: str) -> LeaseRecord:
        found = await self._records.find(token)
        if found is None or found.record.holder != holder or found.verdict is not None:
            raise LeaseLost
        return found.record

    def _attempt(self, record: LeaseRecord, given: GivenAnswer, history: list[Envelope]) -> Attempt | None:
        """The one that is under way; None where the document went on without it."""
        document: Folded[DocumentState] = fold_to_decide(DOCUMENT, history)
        attempt = Attempt(
            self._step(record, given),
            self._parts.bench(self._log, record.worker, self._parts.settings),
            self._known,
            record.delivery,
            number=record.attempt,
            started=document,
            before=attempts_before(history, record.delivery.step, record.attempt),
        )
        return attempt if attempt.is_wanted(document.state) else None

    def _step(self, record: LeaseRecord, given: GivenAnswer) -> LeasedStep:
        parts = self._parts
        if record.delivery.step is Step.PARSE:
            return leased_parse(parts.blobs, parts.limits, given, parts.settings)
        return leased_embed(parts.blobs, parts.embedder_for, parts.gate, parts.index, given, parts.settings)
