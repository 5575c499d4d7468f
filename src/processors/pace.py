"""Pure: a limit per minute as a bucket that refills, kept as one number: until when what was used has been paid for.

Generic cell rate algorithm (ITU-T I.371, annex A), with amounts. All times are integers of µs, so that Python and Lua
count alike.
"""

from math import ceil
from typing import Final

import msgspec

MINUTE_US: Final = 60_000_000

BURST_SHARE: Final = 10
"""A tenth of a minute's limit may be used at once. Providers count minutes of their own, so what is saved up for
a burst is taken off the refill: within no 60 s more is used than the limit."""

RESERVE_SHARE: Final = 5
"""A fifth of that tenth, one call at least, is kept for those for whom a person waits: bulk work that uses up all else
leaves them a call at once, and what they use is taken off its refill."""
RESERVED_LIMIT_MIN: Final = 10
"""A lower limit has no reserve: it would cost bulk work more than a tenth of it."""

WHOLE_UNIT_US_MIN: Final = 1_000
"""A unit that costs so much is rounded up (0.1 % at most), so that a burst of single calls adds up to the credit."""


class Charge(msgspec.Struct, frozen=True):
    """What one call costs, in µs of paying. It may begin where no more than `credit_us` are unpaid."""

    cost_us: int
    credit_us: int


def charge_of(limit_per_minute: int, amount: int, *, may_use_reserve: bool = False) -> Charge | None:
    """None without a limit (0). An amount above a tenth of the limit waits for a full bucket and is paid for behind."""
    if limit_per_minute <= 0:
        return None
    burst = max(1, limit_per_minute // BURST_SHARE)
    if limit_per_minute >= RESERVED_LIMIT_MIN:
        burst = max(burst, 2)
    usable = burst if may_use_reserve else max(1, burst - max(1, burst // RESERVE_SHARE))
    unit_us = MINUTE_US / (limit_per_minute - burst + 1)
    if unit_us >= WHOLE_UNIT_US_MIN:
        unit_us = ceil(unit_us)
    return Charge(cost_us=ceil(amount * unit_us), credit_us=int((usable - min(amount, usable)) * unit_us))


def wait_us(paid_until_us: int, charge: Charge, now_us: int) -> int:
    """How long until the call may begin; 0 or less: now."""
    return paid_until_us - charge.credit_us - now_us


def charged(paid_until_us: int, charge: Charge, now_us: int) -> int:
    """Until when everything has been paid for once the call has begun."""
    return max(paid_until_us, now_us) + charge.cost_us
