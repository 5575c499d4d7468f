"""What all workers together may ask of one embedding provider: limits per minute, forbidden windows, circuit breaker.

The protocol, and its rules as pure functions of a state; the implementations differ in where the state is kept.
"""

from enum import StrEnum
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from processors import breaker as breakers
from processors.breaker import Breaker, Closed
from processors.pace import Charge, charge_of, charged
from processors.pace import wait_us as wait_for_pace_us

RETRY_AFTER_S_MAX: Final = 300.0
"""What a provider asks for is honoured up to here; behind it a call finds out."""

REFUSAL_US_MIN: Final = 1_000_000
"""The shortest window after a refusal; one that names no time doubles it with each refusal in a row."""
REFUSAL_US_MAX: Final = 60_000_000
_DOUBLINGS_MAX: Final = 6

SECOND_US: Final = 1_000_000


class Quota(msgspec.Struct, frozen=True):
    """Of one model at one endpoint, for all workers together; 0 is no limit."""

    requests_per_minute: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    tokens_per_minute: Annotated[int, Meta(ge=0, le=10_000_000_000)] = 0


class Verdict(StrEnum):
    """How a call ended. `REFUSED`: too many requests. `FAILED`: no answer, or none that can be used."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


class WaitReason(StrEnum):
    """Why a call has to wait; the values are codes of an attempt that gives up waiting."""

    LIMITED = "provider_limited"
    ASKED = "provider_busy"
    DOWN = "provider_down"


class Priority(StrEnum):
    """Whose call it is: a document's, or that of a person who waits for the answer."""

    BULK = "bulk"
    INTERACTIVE = "interactive"


class Go(msgspec.Struct, frozen=True):
    """The call is counted and may be made. `is_clean`: a success would change nothing and need not be reported."""

    is_clean: bool


class Wait(msgspec.Struct, frozen=True):
    """Come back in so many seconds (above 0); nothing was counted."""

    seconds: float
    reason: WaitReason


class ProviderGate(Protocol):
    """Asked before each call and told afterwards; `name` is that of endpoint and model. Raises LogUnavailable."""

    async def admit(self, name: str, *, tokens: int, priority: Priority = Priority.BULK) -> Go | Wait:
        """Whether a call with so many tokens may be made now. Interactive ones find a reserve that bulk leaves."""
        ...

    async def report(self, name: str, verdict: Verdict, *, retry_after_s: float | None = None) -> None:
        """How an admitted call ended; `retry_after_s` forbids calls for so long (5 min at most)."""
        ...


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one provider. Times in µs of one clock; `refusals` came in a row."""

    requests_paid_until_us: int = 0
    tokens_paid_until_us: int = 0
    forbidden_until_us: int = 0
    refusals: int = 0
    breaker: Breaker = Closed()


def charges(quota: Quota, tokens: int, priority: Priority) -> tuple[Charge | None, Charge | None]:
    """What a call costs of the calls and of the tokens a minute; None without a limit."""
    is_urgent = priority is Priority.INTERACTIVE
    return (
        charge_of(quota.requests_per_minute, 1, may_use_reserve=is_urgent),
        charge_of(quota.tokens_per_minute, tokens, may_use_reserve=is_urgent),
    )


def admit(
    state: ProviderState, quota: Quota, tokens: int, now_us: int, priority: Priority = Priority.BULK
) -> tuple[ProviderState, Go | Wait]:
    """The state after a call was admitted, or as it was."""
    requests, amount = charges(quota, tokens, priority)
    waits = [
        (breakers.wait_us(state.breaker, now_us), WaitReason.DOWN),
        (state.forbidden_until_us - now_us, WaitReason.ASKED),
        (wait_for_pace_us(state.requests_paid_until_us, requests, now_us) if requests else 0, WaitReason.LIMITED),
        (wait_for_pace_us(state.tokens_paid_until_us, amount, now_us) if amount else 0, WaitReason.LIMITED),
    ]
    longest_us, reason = max(waits, key=lambda wait: wait[0])
    if longest_us > 0:
        return state, Wait(longest_us / SECOND_US, reason)
    admitted = replace(
        state,
        requests_paid_until_us=charged(state.requests_paid_until_us, requests, now_us) if requests else 0,
        tokens_paid_until_us=charged(state.tokens_paid_until_us, amount, now_us) if amount else 0,
        breaker=breakers.called(state.breaker, now_us),
    )
    return admitted, Go(admitted.breaker == Closed() and admitted.refusals == 0)


def report(state: ProviderState, verdict: Verdict, retry_after_s: float | None, now_us: int) -> ProviderState:
    """The state after a call has ended."""
    match verdict:
        case Verdict.SUCCEEDED:
            return replace(state, refusals=0, breaker=breakers.succeeded(state.breaker, now_us))
        case Verdict.FAILED:
            failed = replace(state, breaker=breakers.failed(state.breaker, now_us))
            return failed if retry_after_s is None else _forbidden(failed, now_us + asked_us(retry_after_s))
        case Verdict.REFUSED:
            refused = replace(state, refusals=state.refusals + 1)
            pause_us = refusal_us(state.refusals) if retry_after_s is None else asked_us(retry_after_s)
            return _forbidden(refused, now_us + max(pause_us, REFUSAL_US_MIN))


def asked_us(retry_after_s: float) -> int:
    """What a provider asked for, as far as it is honoured."""
    return int(max(0.0, min(retry_after_s, RETRY_AFTER_S_MAX)) * SECOND_US)


def refusal_us(refusals_before: int) -> int:
    """The window after a refusal that names no time."""
    return min(REFUSAL_US_MAX, REFUSAL_US_MIN << min(refusals_before, _DOUBLINGS_MAX))


def _forbidden(state: ProviderState, until_us: int) -> ProviderState:
    return replace(state, forbidden_until_us=max(state.forbidden_until_us, until_us))
