"""How long a host asks to be left alone."""

from datetime import UTC, datetime

import pytest

from outbound.retry_after import RETRY_AFTER_S_MAX, retry_after_s

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, RETRY_AFTER_S_MAX),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2099 11:00:00 GMT", RETRY_AFTER_S_MAX),
        ("Tue, 99 Nov 2026 11:00:00 GMT", None),
    ],
)
def test_seconds_and_dates_are_read_and_nothing_else(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds
