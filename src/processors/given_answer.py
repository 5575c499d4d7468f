"""One answer that a worker gave, lent to the step that asked for it in another process."""

from collections.abc import Awaitable, Callable
from typing import Final

from processors.failures import WORKER_STOPPED
from processors.lease_records import LeaseRecord
from processors.leased_work import Answer, Asked, Failed
from processors.leasing import HandedBack
from processors.step import Outcome, Reject, Retry, Superseded, Work, WorkerLost
from processors.verdicts import Lost, Recorded, Refused, Verdict, verdict_of

NOT_ASKED: Final = "what the worker answered is no longer what is asked for"
NOBODY_HERE: Final = "the process that this attempt began at does not go on with it: the rest is anybody's"


class LeftToItsProcess(WorkerLost):
    """The process that gave the lease goes on with the attempt: nothing of it is reported here."""


async def _nobody() -> bool:
    return False


class GivenAnswer:
    """Lent once, for what the lease was about. What else the attempt asks for is left to the process that gave the
    lease, where `goes_on` says that it does: nobody here would be told of it. Where it does not (it may have died) that
    is handed back. `given` may be the error that the worker met with at the source, or nothing."""

    def __init__(
        self,
        record: LeaseRecord,
        given: Answer | Exception | None,
        goes_on: Callable[[], Awaitable[bool]] = _nobody,
    ) -> None:
        self._goes_on = goes_on
        self._record = record
        self._given = given
        self._has_failed = isinstance(given, Failed)
        self._verdict: Verdict | None = None
        self._outcome: Outcome = Superseded()

    @property
    def verdict(self) -> Verdict:
        """What became of it, once the attempt has ended."""
        return self._verdict or verdict_of(self._outcome, has_failed=self._has_failed)

    async def answer(self, work: Work, asked: Asked) -> Answer:  # noqa: ARG002  there is one attempt
        """Raises HandedBack, LeftToItsProcess, and the error that was given."""
        given, self._given = self._given, None
        if given is None:
            if self._verdict is None:
                self._verdict = Recorded()
                if await self._goes_on():
                    raise LeftToItsProcess
            raise HandedBack(Retry(WORKER_STOPPED, NOBODY_HERE))
        if asked.fingerprint != self._record.asked:
            self._verdict = Lost()
            raise HandedBack(Retry(WORKER_STOPPED, NOT_ASKED))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, Failed):
            raise HandedBack(given.outcome)
        return given

    def refuse(self, work: Work, code: str, message: str) -> None:  # noqa: ARG002
        """As `Lent`."""
        self._verdict = self._verdict or Refused(code, message)

    def ends_with(self, work: Work, outcome: Outcome) -> None:  # noqa: ARG002
        """As `Lent`."""
        self._outcome = outcome

    def is_unwanted(self, work: Work) -> None:  # noqa: ARG002
        """As `Lent`."""
        if not isinstance(self._outcome, Reject):
            self._outcome = Superseded()
