"""Pure: when a failed attempt is made again, or that it is not."""

from typing import Final

import msgspec

HOST_BUSY: Final = "host_busy"

WAIT_CODES: Final = frozenset({HOST_BUSY, "provider_busy", "provider_limited"})
"""Nothing failed: a limit says when to come back. These do not lengthen the next delay, or a busy provider would end up
idle while every document waits for minutes."""

OUTAGE_CODES: Final = frozenset(
    {
        "blob_store_full",
        "blob_store_unavailable",
        "index_unavailable",
        "log_unavailable",
        "newer_facts",
        "provider_down",
        "provider_timeout",
        "provider_unreachable",
        "worker_stopped",
        *(f"provider_{status}" for status in (408, 409, 425, 429)),
        *(f"provider_{status}" for status in range(500, 600)),
        *WAIT_CODES,
    }
)
"""Failures that say nothing about the document. They are retried for ever and never counted: an outage of two minutes
must not cost a single document, and each wait is visible in the document's status."""

_DOUBLINGS_MAX: Final = 32
"""2**32 s is far behind every cap; a larger exponent would only overflow."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how late. Delays in seconds."""

    attempts_max: int = 5
    """1 to 100; outages are not counted."""
    base_s: float = 1.0
    """0.001 to 60: the longest first delay; it doubles with each attempt."""
    cap_s: float = 300.0
    """The longest delay by itself, `base_s` to 86,400."""
    retry_after_s_max: float = 300.0
    """What a provider asks for is honoured up to here, 0 to 86,400."""
    abandoned_max: int = 3
    """Starts without an end (the worker died each time) until the document is parked as poison, 1 to 100."""


def next_attempt(
    policy: RetryPolicy, counted_attempts: int, retry_after_s: float | None, random: float
) -> float | None:
    """Seconds until the attempt after `counted_attempts` (from 1, this one included); None to give up.

    `random` is in [0, 1). Full jitter: random() * min(cap, base * 2**n), because it makes the fewest calls in the
    comparison of M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if counted_attempts >= policy.attempts_max:
        return None
    return _delay_s(policy, counted_attempts, retry_after_s, random)


def after_outage(policy: RetryPolicy, outages: int, retry_after_s: float | None, random: float) -> float:
    """Seconds until the next attempt after `outages` (from 1) of them; never gives up."""
    return _delay_s(policy, outages, retry_after_s, random)


def _delay_s(policy: RetryPolicy, failures: int, retry_after_s: float | None, random: float) -> float:
    ceiling_s = min(policy.cap_s, policy.base_s * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS_MAX))
    jittered_s = random * ceiling_s
    if retry_after_s is None:
        return jittered_s
    # Never inside the forbidden window; a little spread behind it, or everybody would come back in the same instant.
    asked_s = max(0.0, min(retry_after_s, policy.retry_after_s_max))
    return max(jittered_s, asked_s + random * policy.base_s)
