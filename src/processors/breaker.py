"""Pure: a circuit breaker. Whoever finds a provider down spares everybody else the finding out.

    Closed --FAILURES_MAX failures in a row--> Open --OPEN_US--> HalfOpen --a success--> Closed
                                                 ^------------- a failure ------------------'

All workers share one, so its probes are counted over all of them. Times are µs of one clock.
"""

from typing import Final, assert_never

import msgspec

FAILURES_MAX: Final = 5
"""Failures in a row that open it. At one failure in two calls that is once in 32 runs of five, and costs 2 s."""

OPEN_US: Final = 2_000_000
"""How long nobody calls. Short, for a provider that is back should be noticed within seconds."""

PROBE_US: Final = 500_000
"""Between two probes of all workers together: 2 a second at most, however slowly they fail."""


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Calls go through; `failures` came in a row."""

    failures: int = 0


class Open(msgspec.Struct, frozen=True, tag=True):
    """No call goes through."""

    until_us: int


class HalfOpen(msgspec.Struct, frozen=True, tag=True):
    """One call at a time is let through to see; the next not before `probe_at_us`."""

    probe_at_us: int


Breaker = Closed | Open | HalfOpen


def at(breaker: Breaker, now_us: int) -> Breaker:
    """The state at a time: an open one is half-open once its time is over."""
    return HalfOpen(breaker.until_us) if isinstance(breaker, Open) and now_us >= breaker.until_us else breaker


def wait_us(breaker: Breaker, now_us: int) -> int:
    """How long until a call may go through; 0 or less: now."""
    match at(breaker, now_us):
        case Closed():
            return 0
        case Open(until_us=until_us):
            return until_us - now_us
        case HalfOpen(probe_at_us=probe_at_us):
            return probe_at_us - now_us
        case unknown:
            assert_never(unknown)


def called(breaker: Breaker, now_us: int) -> Breaker:
    """A call that may go through begins."""
    now = at(breaker, now_us)
    return HalfOpen(now_us + PROBE_US) if isinstance(now, HalfOpen) else now


def succeeded(breaker: Breaker, now_us: int) -> Breaker:
    """A call had an answer. One from before it opened says nothing about now."""
    now = at(breaker, now_us)
    return now if isinstance(now, Open) else Closed()


def failed(breaker: Breaker, now_us: int) -> Breaker:
    """A call had none, or one that cannot be used."""
    match at(breaker, now_us):
        case Closed(failures=failures) if failures + 1 < FAILURES_MAX:
            return Closed(failures + 1)
        case Closed() | HalfOpen():
            return Open(now_us + OPEN_US)
        case Open() as still:
            return still
        case unknown:
            assert_never(unknown)
