"""The workers elsewhere that this process serves, from their first poll to the end of their last lease."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from blobs.errors import BlobError
from events.steps import Step
from ingest.problems import ProblemCode, Rejected, invalid
from processors.failures import BlobCorrupt
from processors.lease_takeover import LeaseTakeover
from processors.leased_parts import LeasedParts
from processors.leased_work import Answer, ParseAsked
from processors.leased_worker import LeasedWorker
from processors.leases import Lease, LeaseDesk, NoSource
from processors.verdicts import Verdict

DRAINED_S_MAX: Final = 2.0
"""What workers may take to leave once no lease is open: their runners give back what they have not begun."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger()


class Workers:
    """`name_of` makes a name unique; `workers_max` may poll at a time, each with `slots_max` deliveries a step."""

    def __init__(
        self,
        parts: LeasedParts,
        desk: LeaseDesk,
        takeover: LeaseTakeover,
        *,
        name_of: Callable[[str], str],
        workers_max: int,
        slots_max: int,
    ) -> None:
        self._desk = desk
        self._takeover = takeover
        self._parts = parts
        self._name_of = name_of
        self._workers_max = workers_max
        self._slots_max = slots_max
        self._polls: set[LeasedWorker] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @contextmanager
    def poll(self, holder: str, name: str, steps: Collection[Step], slots: int) -> Iterator["Poll"]:
        """A worker takes deliveries as long as the body lasts; its leases go on behind it. Raises Rejected."""
        if not _NAME.fullmatch(name):
            raise invalid("/worker", "is 1 to 64 letters, digits, dots, hyphens and underscores")
        if not 1 <= slots <= self._slots_max:
            raise invalid("/slots", f"is 1 to {self._slots_max:,}")
        if self._is_stopping:
            raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, "The service is being stopped; poll another, or again.")
        if len(self._polls) >= self._workers_max:
            detail = (
                f"No call of PollSteps beyond {self._workers_max:,} is served by one process: poll another, or later."
            )
            raise Rejected(ProblemCode.TOO_MANY_WORKERS, detail)
        unique = self._name_of(name)
        worker = LeasedWorker(self._parts, self._desk, name=unique, holder=holder, steps=steps, slots=slots)
        self._polls.add(worker)
        running = asyncio.create_task(self._run(worker))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            yield Poll(worker)
        finally:
            self._polls.discard(worker)
            worker.stop.set()
            worker.leasing.withdraw()

    @property
    def lease_s(self) -> float:
        """How long a lease lasts without a sign of life."""
        return self._desk.lease_s

    async def renew(self, token: str, holder: str) -> None:
        """The lease begins anew, whichever process gave it. Raises LeaseLost and LogUnavailable."""
        if not await self._desk.renew(token, holder):
            await self._takeover.renew(token, holder)

    async def source(self, token: str, holder: str) -> AsyncGenerator[bytes, None]:
        """The document that a lease of parse is about. Raises NoSource, LeaseLost, BlobCorrupt and BlobError: with the
        last two the attempt ends."""
        lease = self._desk.held(token, holder)
        try:
            if lease is None:
                pieces = await self._takeover.source(token, holder)
            elif isinstance(lease.asked, ParseAsked):
                pieces = lease.asked.read()
            else:
                raise NoSource
            async for piece in pieces:
                yield piece
        except (BlobCorrupt, BlobError) as error:
            if lease is None:
                await self._takeover.give(token, holder, error)
            else:
                lease.breaks(error)
            raise

    async def give(self, token: str, holder: str, answer: Answer) -> Verdict:
        """What became of an answer, whichever process gave the lease. Raises LeaseBusy and LogUnavailable."""
        verdict = await self._desk.give(token, holder, answer)
        return await self._takeover.give(token, holder, answer) if verdict is None else verdict

    async def drain(self, within_s: float) -> None:
        """No worker gets anything more; those that hold something may end it, then it is handed back."""
        self._is_stopping = True
        for worker in list(self._polls):
            worker.stop.set()
        await self._desk.drain(within_s)
        if self._running:
            await asyncio.wait(self._running, timeout=DRAINED_S_MAX)
        for running in list(self._running):
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._takeover.close(DRAINED_S_MAX)
        await self._desk.close(DRAINED_S_MAX)

    async def _run(self, worker: LeasedWorker) -> None:
        try:
            await worker.run()
        except Exception:
            # A bug, never an outage; the worker is told to poll again.
            _log.exception("leased_worker_broke")
        finally:
            worker.stop.set()


class Poll:
    """What one worker is offered."""

    def __init__(self, worker: LeasedWorker) -> None:
        self._worker = worker
        self._offered = worker.leasing.offered

    @property
    def is_silent(self) -> bool:
        """Whether it ended because a lease ran out."""
        return self._worker.is_silent

    async def leases(self, ended: asyncio.Event) -> AsyncGenerator[Lease, None]:
        """Each that is still open when it is its turn; until `ended`, or nothing more is offered."""
        ends = [asyncio.create_task(one.wait()) for one in (ended, self._worker.stop)]
        taking = asyncio.create_task(self._offered.get())
        try:
            while True:
                await asyncio.wait({taking, *ends}, return_when=asyncio.FIRST_COMPLETED)
                if ended.is_set() or self._worker.stop.is_set():
                    return
                lease = taking.result()
                taking = asyncio.create_task(self._offered.get())
                if lease.is_open:
                    yield lease
        finally:
            for end in ends:
                end.cancel()
            if taking.done():
                self._offered.put_nowait(taking.result())
            taking.cancel()
