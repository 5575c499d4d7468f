"""Instants: kept as whole microseconds since 1970, shown as UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc(unix_us: int) -> datetime:
    """Exact to the microsecond, where a float would round. Raises OverflowError past the year 9999."""
    return EPOCH + timedelta(microseconds=unix_us)
