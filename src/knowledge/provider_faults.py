"""What the refusals of a model's provider mean, whatever brought them here."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_S_MAX: Final = 3_600.0

REJECTED: Final = "embedding_rejected"
"""Asked again, the provider would say no again: a key, a model, a text that it does not take."""
TOO_LARGE: Final = "provider_413"
"""Fewer texts at a time may do."""

_INTERNAL_SERVER_ERROR: Final = 500
_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429})
"""Those that say "later", besides all 5xx: request timeout, conflict, too early, too many requests."""


def is_retryable(status: int) -> bool:
    """Whether the same call may work later."""
    return status in _RETRYABLE_STATUSES or status >= _INTERNAL_SERVER_ERROR


def embedding_code_of(status: int) -> str:
    """The code of an EmbeddingError for a refusal with this status."""
    code = f"provider_{status}"
    return code if is_retryable(status) or code == TOO_LARGE else REJECTED


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """RFC 9110, 10.2.3: seconds or a date; None where absent or neither."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return min(float(header), RETRY_AFTER_S_MAX)
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 0.0), RETRY_AFTER_S_MAX)
