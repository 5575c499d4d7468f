"""What became of the answer to a lease."""

from typing import assert_never

import msgspec

from processors.step import Done, Drop, Outcome, Reject, Retry, Superseded


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """The answer is in the log, or is what the next batch stands on."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The answer was no result; the document tells why in the same words."""

    code: str
    message: str


class Lost(msgspec.Struct, frozen=True, tag=True):
    """Nobody waited for the answer: the lease ran out, or the document went on without it."""


Verdict = Recorded | Refused | Lost


def verdict_of(outcome: Outcome, *, has_failed: bool) -> Verdict:
    """Of an attempt that was answered; `has_failed`: by a failure, which is recorded as any result is."""
    match outcome:
        case Done():
            return Recorded()
        case Retry() | Reject():
            return Recorded() if has_failed else Refused(outcome.code, outcome.message)
        case Drop() | Superseded():
            return Lost()
        case _:
            assert_never(outcome)
