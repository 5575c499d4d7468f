"""Work in the hands of workers elsewhere: who holds what, until when, and what became of their answers.

A lease is of one process and of one piece of an attempt. It ends by an answer, by running out, or because nobody waits
for the work any more. How it ended is remembered for a while: whoever repeats an answer gets the same verdict.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from domain.document import About
from knowledge.page_texts import PageText
from knowledge.text import TextFormat
from processors.failures import WORKER_STOPPED
from processors.step import Reject, Retry, Work, WorkerLost

SETTLED_MAX: Final = 10_000
"""Verdicts that are remembered, 300 bytes each."""


class ParseAsked(msgspec.Struct, frozen=True):
    """A document to be read; `read` begins anew at each call. It raises BlobCorrupt and what the blob store raises."""

    about: About
    read: Callable[[], AsyncIterator[bytes]]


class EmbedAsked(msgspec.Struct, frozen=True):
    """Texts to be embedded as they are."""

    model: str
    dimensions: int
    texts: tuple[str, ...]


class PagesRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a parser elsewhere found."""

    pages: tuple[PageText, ...]
    format: TextFormat
    title: str
    language: str
    parser: str
    warnings: tuple[str, ...]


class VectorsMade(msgspec.Struct, frozen=True):
    """Vectors as they came, not looked at yet."""

    rows: Sequence[Sequence[float]]


class Failed(msgspec.Struct, frozen=True):
    """The worker says that it cannot."""

    outcome: Retry | Reject


Asked = ParseAsked | EmbedAsked
Answer = PagesRead | VectorsMade | Failed


class Recorded(msgspec.Struct, frozen=True):
    """The answer is in the log, or is what the next batch stands on."""


class Refused(msgspec.Struct, frozen=True):
    """The answer was no result; the document tells why in the same words."""

    code: str
    message: str


class Lost(msgspec.Struct, frozen=True):
    """Nobody waited for the answer: the lease ran out, or the document went on without it."""


Verdict = Recorded | Refused | Lost


class Lease:
    """Belongs to one event loop. `holder` is who may answer under `token`."""

    def __init__(self, token: str, holder: str, work: Work, asked: Asked) -> None:
        self.token = token
        self.holder = holder
        self.work = work
        self.asked = asked
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self.verdict: asyncio.Future[Verdict] = loop.create_future()
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether an answer is still waited for."""
        return not self.answer.done() and not self.verdict.done()

    def breaks(self, error: Exception) -> None:
        """What the worker was to be given cannot be: the attempt ends with this error, as if a step here had met it."""
        if self.is_open:
            self.answer.set_exception(error)


class LeaseLost(Exception):
    """There is no such lease, or not any more, or it is another's."""


class LeaseDesk:
    """Every lease of this process. `lease_s` is how long one lasts without a sign of life."""

    def __init__(self, *, lease_s: float, new_token: Callable[[], str]) -> None:
        self.lease_s = lease_s
        self._new_token = new_token
        self._leases: dict[str, Lease] = {}
        self._settled: OrderedDict[str, tuple[str, Verdict]] = OrderedDict()
        self._none_open = asyncio.Event()
        self._none_open.set()

    def open(self, holder: str, work: Work, asked: Asked) -> Lease:
        """A new lease, which runs from now."""
        lease = Lease(self._new_token(), holder, work, asked)
        self._leases[lease.token] = lease
        self._none_open.clear()
        self._begin_anew(lease)
        return lease

    async def answer_to(self, lease: Lease) -> Answer:
        """Waits for it. Raises WorkerLost where the lease runs out before."""
        try:
            return await lease.answer
        finally:
            self._stop_timer(lease)

    def renew(self, token: str, holder: str) -> float:
        """The seconds that the lease lasts from now. Raises LeaseLost."""
        lease = self.held(token, holder)
        self._begin_anew(lease)
        return self.lease_s

    def held(self, token: str, holder: str) -> Lease:
        """The open lease. Raises LeaseLost."""
        lease = self._leases.get(token)
        if lease is None or lease.holder != holder or not lease.is_open:
            raise LeaseLost
        return lease

    async def give(self, token: str, holder: str, answer: Answer) -> Verdict:
        """Hands an answer in and waits for what becomes of it; a lease that was answered keeps its first answer.

        Whoever stops waiting takes nothing back.
        """
        if (settled := self._settled.get(token)) is not None and settled[0] == holder:
            return settled[1]
        lease = self._leases.get(token)
        if lease is None or lease.holder != holder:
            return Lost()
        if lease.is_open:
            self._stop_timer(lease)
            lease.answer.set_result(answer)
        return await asyncio.shield(lease.verdict)

    def settle(self, lease: Lease, verdict: Verdict) -> None:
        """The end of a lease; only the first verdict counts."""
        if lease.verdict.done():
            return
        self._stop_timer(lease)
        lease.answer.cancel()
        lease.verdict.set_result(verdict)
        del self._leases[lease.token]
        self._settled[lease.token] = (lease.holder, verdict)
        if len(self._settled) > SETTLED_MAX:
            self._settled.popitem(last=False)
        if not self._leases:
            self._none_open.set()

    def hand_back(self, lease: Lease, reason: str) -> None:
        """Work that was not begun, or cannot be ended here, is due at once for anybody; it counts as no attempt."""
        if lease.is_open:
            lease.answer.set_result(Failed(Retry(WORKER_STOPPED, reason)))

    async def drain(self, within_s: float) -> None:
        """Waits for the leases that are out; what is left then is handed back."""
        try:
            async with asyncio.timeout(within_s):
                await self._none_open.wait()
        except TimeoutError:
            for lease in list(self._leases.values()):
                self.hand_back(lease, "the service was stopped before the worker had answered")

    def _begin_anew(self, lease: Lease) -> None:
        self._stop_timer(lease)
        lease.timer = asyncio.get_running_loop().call_later(self.lease_s, _run_out, lease)

    def _stop_timer(self, lease: Lease) -> None:
        if lease.timer is not None:
            lease.timer.cancel()
            lease.timer = None


def _run_out(lease: Lease) -> None:
    if lease.is_open:
        lease.answer.set_exception(WorkerLost("the lease ran out without a sign of life"))
