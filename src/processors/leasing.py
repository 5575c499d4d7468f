"""The leases of one worker elsewhere: offered to it as its steps ask for work, settled as they end."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from events.envelope import Envelope
from events.inbox import Delivery
from processors.leased_work import Answer, Asked, Failed
from processors.leases import Lease, LeaseDesk
from processors.runner import CarryOut
from processors.step import Outcome, Reject, Retry, Superseded, Work, WorkerLost
from processors.verdicts import Lost, Recorded, Refused, Verdict, verdict_of

STOPPED = "the worker was stopped before it had begun"


class HandedBack(Exception):
    """The worker failed: its attempt ends with this outcome."""

    def __init__(self, outcome: Retry | Reject) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return self.outcome.message


class AnsweredElsewhere(Exception):
    """Another process has recorded what the worker made of one piece of the attempt; the rest is asked for here."""


class Lent(Protocol):
    """What a step whose work is done elsewhere sees of who does it."""

    async def answer(self, work: Work, asked: Asked) -> Answer:
        """The worker's result. Raises HandedBack, AnsweredElsewhere and WorkerLost."""
        ...

    def refuse(self, work: Work, code: str, message: str) -> None:
        """The last result of the attempt is none."""
        ...

    def ends_with(self, work: Work, outcome: Outcome) -> None:
        """What the attempt reports, unless nobody wants it any more."""
        ...

    def is_unwanted(self, work: Work) -> None:
        """The document went on without the attempt; what a failure leaves behind is taken back in the same way."""
        ...


class Leasing:
    """Lent by leases. `holder` is who may answer. `offered` are the leases that the worker has not been told of yet.

    `on_silence` is called where a lease runs out: the worker counts as dead, and gets nothing more until it polls anew.
    It would else be the first to be free for what it has just lost, and three of those park a document.
    """

    def __init__(self, desk: LeaseDesk, holder: str, on_silence: Callable[[], None]) -> None:
        self._on_silence = on_silence
        self._desk = desk
        self._holder = holder
        self.offered: asyncio.Queue[Lease] = asyncio.Queue()
        self._is_withdrawn = False
        self._last: dict[Delivery, Lease] = {}
        self._outcomes: dict[Delivery, Outcome] = {}

    async def answer(self, work: Work, asked: Asked) -> Answer:
        """A lease for the work, and the worker's result. Raises HandedBack, AnsweredElsewhere and WorkerLost.

        The result that the attempt asked for before this one is recorded, or refused, by now.
        """
        if (before := self._last.get(work.delivery)) is not None:
            self._desk.settle(before, Recorded())
        lease = self._last[work.delivery] = self._desk.open(self._holder, work, asked)
        await self._desk.begin(lease)
        if self._is_withdrawn:
            # Nobody is left to be told of it: the lease would run out, and count as a worker's death.
            self._desk.hand_back(lease, STOPPED)
        else:
            self.offered.put_nowait(lease)
        try:
            given = await self._desk.answer_to(lease)
        except WorkerLost:
            self._on_silence()
            raise
        if isinstance(given, Failed):
            raise HandedBack(given.outcome)
        return given

    def refuse(self, work: Work, code: str, message: str) -> None:
        """As `Lent`."""
        self._desk.settle(self._last[work.delivery], Refused(code, message))

    def ends_with(self, work: Work, outcome: Outcome) -> None:
        """As `Lent`."""
        self._outcomes[work.delivery] = outcome

    def is_unwanted(self, work: Work) -> None:
        """As `Lent`."""
        if not isinstance(self._outcomes.get(work.delivery), Reject):
            self._outcomes[work.delivery] = Superseded()

    def close(self, delivery: Delivery) -> None:
        """The attempt is over, its outcome in the log or refused."""
        outcome = self._outcomes.pop(delivery, Superseded())
        if (lease := self._last.pop(delivery, None)) is not None:
            self._desk.settle(lease, _verdict(lease, outcome))

    async def moved(self, document_id: str) -> None:
        """Others have brought the document on under an attempt of this worker. Raises LogUnavailable and LogFull."""
        for lease in [one for one in self._last.values() if one.work.document_id == document_id]:
            await self._desk.look_elsewhere(lease, AnsweredElsewhere())

    def withdraw(self) -> None:
        """The worker takes no more: what it was not told of is handed back, and what it would be told of later."""
        self._is_withdrawn = True
        while not self.offered.empty():
            self._desk.hand_back(self.offered.get_nowait(), STOPPED)


class LeasedDeliveries:
    """Around what carries out the deliveries of a step: their leases end with them."""

    def __init__(self, deliveries: CarryOut, leasing: Leasing) -> None:
        self._deliveries = deliveries
        self._leasing = leasing

    async def carry_out(self, delivery: Delivery, tries: int, history: list[Envelope] | None = None) -> float | None:
        """As `CarryOut`."""
        try:
            return await self._deliveries.carry_out(delivery, tries, history)
        finally:
            self._leasing.close(delivery)


def _verdict(lease: Lease, outcome: Outcome) -> Verdict:
    if lease.answer.done() and not lease.answer.cancelled() and lease.answer.exception() is None:
        return verdict_of(outcome, has_failed=isinstance(lease.answer.result(), Failed))
    return Lost()
