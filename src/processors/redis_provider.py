"""The gate to providers on Redis: one hash for each endpoint and model, read and written by two scripts.

The rules are those of `provider.py`, counted by the server's clock: workers on machines whose clocks differ share one
limit. Fields: `requests` and `tokens` (paid until), `forbidden` (until), `refusals` and `failures` (in a row), `open`
(until; 0 is closed), `probe` (the next one). All times µs, all integers.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from events.keys import Keys
from events.redis_border import RedisClient, Script
from processors.breaker import FAILURES_MAX, OPEN_US, PROBE_US
from processors.pace import Charge
from processors.provider import (
    REFUSAL_US_MAX,
    REFUSAL_US_MIN,
    SECOND_US,
    Go,
    Priority,
    Quota,
    Verdict,
    Wait,
    WaitReason,
    asked_us,
    charges,
)

KEPT_MS: Final = 3_600_000
"""A provider that nobody asked for an hour is forgotten: no window and no bucket lasts longer than minutes."""

_REASONS: Final = (WaitReason.DOWN, WaitReason.ASKED, WaitReason.LIMITED)
_NO_LIMIT: Final = Charge(cost_us=0, credit_us=0)


class RedisProviderGate:
    """ProviderGate shared by all workers. `clock_us` takes the place of the server's clock, for tests."""

    def __init__(
        self, client: RedisClient, keys: Keys, quota: Quota, *, clock_us: Callable[[], int] | None = None
    ) -> None:
        self._client = client
        self._keys = keys
        self._quota = quota
        self._clock_us = clock_us
        self._admit = _ProviderScript("provider_admit.lua")
        self._report = _ProviderScript("provider_report.lua")

    async def admit(self, name: str, *, tokens: int, priority: Priority = Priority.BULK) -> Go | Wait:
        requests, amount = (charge or _NO_LIMIT for charge in charges(self._quota, tokens, priority))
        wait_us, reason, is_clean = await self._admit.run(
            self._client,
            [self._keys.provider(name)],
            (
                self._now(),
                KEPT_MS,
                PROBE_US,
                *(requests.cost_us, requests.credit_us),
                *(amount.cost_us, amount.credit_us),
            ),
        )
        return Wait(wait_us / SECOND_US, _REASONS[reason]) if wait_us > 0 else Go(is_clean == 1)

    async def report(self, name: str, verdict: Verdict, *, retry_after_s: float | None = None) -> None:
        asked = -1 if retry_after_s is None else asked_us(retry_after_s)
        limits = (FAILURES_MAX, OPEN_US, REFUSAL_US_MIN, REFUSAL_US_MAX)
        await self._report.run(
            self._client,
            [self._keys.provider(name)],
            (self._now(), KEPT_MS, verdict.value, asked, *limits),
        )

    def _now(self) -> int | str:
        return "" if self._clock_us is None else self._clock_us()


class _ProviderScript(Script):
    """A Lua file that lies beside this module."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
