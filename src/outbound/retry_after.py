"""The Retry-After header. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_S_MAX: Final = 86_400.0
_DIGITS_MAX: Final = 9


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds to wait, at most a day (RFC 9110, 10.2.3: seconds or a date); None where absent or neither.

    `now` is aware UTC.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:_DIGITS_MAX]), RETRY_AFTER_S_MAX)
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 0.0), RETRY_AFTER_S_MAX)
