"""When a message that did not arrive is sent again. Pure; chance is passed in."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

FIRST_S: Final = 5.0
DELAYS_S: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""Between one attempt and the next: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, as the specification proposes. The eighth
attempt is the last, 27.6 h after the first."""

JITTER: Final = 0.2
"""Each delay is made up to a fifth shorter or longer: what failed together must not come back together."""

RETRY_AFTER_S_MAX: Final = 36_000.0
"""What an endpoint asks for is honoured up to the longest delay of our own."""

_SECONDS_DIGITS_MAX: Final = 9


class Schedule(msgspec.Struct, frozen=True):
    """`first_s` is the delay behind the first attempt; the others keep their proportion to it."""

    first_s: float = FIRST_S

    @property
    def attempts_max(self) -> int:
        return len(DELAYS_S) + 1

    def delay_s(self, tries: int, random: float, retry_after_s: float | None = None) -> float | None:
        """Seconds from the end of an attempt, `tries` (from 1) of which were made, to the next; None: it was the last.

        `random` is in [0, 1). With `retry_after_s` it is never earlier than the endpoint asked for.
        """
        if tries >= self.attempts_max:
            return None
        delay_s = DELAYS_S[tries - 1] * self.first_s / FIRST_S * (1 - JITTER + 2 * JITTER * random)
        if retry_after_s is None:
            return delay_s
        return max(delay_s, min(retry_after_s, RETRY_AFTER_S_MAX))


def retry_after_s(value: str | None, now_us: int) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3): seconds or a date; None for what is neither. Never negative."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _SECONDS_DIGITS_MAX else RETRY_AFTER_S_MAX
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_us / 1_000_000, UTC)
    return max(0.0, (aware - now).total_seconds())
