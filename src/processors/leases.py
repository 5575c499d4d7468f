"""Work in the hands of workers elsewhere: who holds what, until when, and what became of their answers.

A lease is of one piece of an attempt. It ends by an answer, by running out, or because nobody waits for the work any
more. This process waits for the answer; a record that all processes share lets any other take it (lease_takeover.py).
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

import structlog

from events.errors import LogError
from processors.failures import WORKER_STOPPED
from processors.lease_records import LeaseRecord, LeaseRecords
from processors.leased_work import Answer, Asked, Failed
from processors.patience import Patience
from processors.step import Retry, Work, WorkerLost
from processors.verdicts import Lost, Verdict

RIGHT_MS: Final = 10_000
"""After so long another process may end what one has begun to end: it may have died. The log takes one result."""

VERDICT_S: Final = 60.0
"""A verdict is told again for so long at least: an answer whose reply was lost is repeated within seconds."""

ASK_AGAIN_S: Final = 1.0
"""Where Redis does not say whether a lease was renewed elsewhere."""


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

    @property
    def record(self) -> LeaseRecord:
        """What other processes are told of it."""
        return LeaseRecord(
            holder=self.holder,
            delivery=self.work.delivery,
            worker=self.work.worker,
            attempt=self.work.attempt,
            asked=self.asked.fingerprint,
        )

    def breaks(self, error: Exception) -> None:
        """What the worker was to be given cannot be: the attempt ends with this error, as if a step here had met it."""
        if self.is_open:
            self.answer.set_exception(error)


class LeaseLost(Exception):
    """There is no such lease, or not any more, or it is another's."""


class NoSource(Exception):
    """Only a lease of parse has one."""


class LeaseDesk:
    """Every lease that this process gave. `lease_s` is how long one lasts without a sign of life; `new_token` makes one
    for a partition; `process` is unique to this one."""

    def __init__(
        self,
        records: LeaseRecords,
        *,
        process: str,
        lease_s: float,
        new_token: Callable[[int], str],
        random: Callable[[], float],
    ) -> None:
        self.lease_s = lease_s
        self._records = records
        self._process = process
        self._new_token = new_token
        self._patience = Patience(random=random)
        self._leases: dict[str, Lease] = {}
        self._unsettled: set[str] = set()
        self._beside: set[asyncio.Task[None]] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()

    def open(self, holder: str, work: Work, asked: Asked) -> Lease:
        """A new lease, which does not run yet."""
        lease = Lease(self._new_token(work.delivery.partition), holder, work, asked)
        self._leases[lease.token] = lease
        self._unsettled.add(lease.token)
        self._none_open.clear()
        return lease

    async def begin(self, lease: Lease) -> None:
        """It runs from now; every process knows of it before the worker does."""
        await self._patience(partial(self._records.keep, lease.token, lease.record, for_ms=self._lease_ms))
        if lease.is_open:
            self._wait(lease, self.lease_s)

    async def answer_to(self, lease: Lease) -> Answer:
        """Waits for it. Raises WorkerLost where the lease runs out before."""
        try:
            return await lease.answer
        finally:
            self._stop_timer(lease)

    def held(self, token: str, holder: str) -> Lease | None:
        """The open lease; None where this process gave no such one."""
        lease = self._leases.get(token)
        return lease if lease is not None and lease.holder == holder and lease.is_open else None

    async def renew(self, token: str, holder: str) -> bool:
        """It lasts `lease_s` from now; False where this process holds no such lease, or another has ended it. Raises
        LogUnavailable and LogFull."""
        if (lease := self.held(token, holder)) is None:
            return False
        self._wait(lease, self.lease_s)
        return await self._records.keep(token, lease.record, for_ms=self._lease_ms)

    async def give(self, token: str, holder: str, answer: Answer) -> Verdict | None:
        """Hands an answer in and waits for what becomes of it; a lease that was answered keeps its first answer. None
        where it is not, or no longer, this process that ends the lease: its record says then whether an answer counted.

        Whoever stops waiting takes nothing back.
        """
        lease = self._leases.get(token)
        if lease is None or lease.holder != holder:
            return None
        if lease.is_open and not await self._patience(partial(self._take, lease)):
            return None
        if lease.is_open:
            self._stop_timer(lease)
            lease.answer.set_result(answer)
        verdict = await asyncio.shield(lease.verdict)
        # Lost here may be recorded elsewhere: another process ended the lease, and the document went on.
        return None if isinstance(verdict, Lost) else verdict

    async def look_elsewhere(self, lease: Lease, answered: Exception) -> None:
        """Where another process has recorded its answer, the lease breaks with `answered`, and everybody knows that the
        attempt goes on here. Raises LogUnavailable and LogFull."""
        if not lease.is_open:
            return
        found = await self._records.find(lease.token)
        if found is None or found.verdict is None or not await self._records.follow(lease.token):
            return
        lease.breaks(answered)
        self.settle(lease, found.verdict)

    def settle(self, lease: Lease, verdict: Verdict) -> None:
        """The end of a lease; only the first verdict counts."""
        if lease.verdict.done():
            return
        self._stop_timer(lease)
        lease.answer.cancel()
        lease.verdict.set_result(verdict)
        self._unsettled.discard(lease.token)
        if not self._unsettled:
            self._none_open.set()
        self._aside(self._tell_others(lease, verdict))

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
            for token in list(self._unsettled):
                self.hand_back(self._leases[token], "the service was stopped before the worker had answered")

    async def close(self, within_s: float) -> None:
        """What others are to be told is told, or was not to be told in time."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=within_s)
        for task in list(self._beside):
            task.cancel()

    @property
    def _lease_ms(self) -> int:
        return round(self.lease_s * 1_000)

    async def _take(self, lease: Lease) -> bool:
        return await self._records.take(
            lease.token, lease.record, by=self._process, for_ms=self._lease_ms, right_ms=RIGHT_MS
        )

    async def _tell_others(self, lease: Lease, verdict: Verdict) -> None:
        kept_ms = round(max(self.lease_s, VERDICT_S) * 1_000)
        settle = partial(self._records.settle, lease.token, lease.record, verdict, by=self._process, kept_ms=kept_ms)
        try:
            async with asyncio.timeout(self.lease_s):
                await self._patience(settle)
        except TimeoutError:
            # Whoever repeats the answer will be told that the lease was lost, and drops what is recorded already.
            structlog.get_logger().warning("verdict_not_kept", document=lease.work.document_id)
        finally:
            del self._leases[lease.token]

    def _wait(self, lease: Lease, seconds: float) -> None:
        self._stop_timer(lease)
        lease.timer = asyncio.get_running_loop().call_later(seconds, self._run_out, lease)

    def _stop_timer(self, lease: Lease) -> None:
        if lease.timer is not None:
            lease.timer.cancel()
            lease.timer = None

    def _run_out(self, lease: Lease) -> None:
        lease.timer = None
        if lease.is_open:
            self._aside(self._look_again(lease))

    async def _look_again(self, lease: Lease) -> None:
        """Whether the worker showed itself at another process meanwhile."""
        try:
            left_s = await self._records.left_ms(lease.token) / 1_000
        except LogError:
            left_s = ASK_AGAIN_S
        if not lease.is_open or lease.timer is not None:
            return
        if left_s > 0:
            self._wait(lease, left_s)
        else:
            lease.answer.set_exception(WorkerLost("the lease ran out without a sign of life"))

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
