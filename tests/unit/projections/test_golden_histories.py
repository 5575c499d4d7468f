"""Logs of every release are told today as they were told then."""

from typing import Any

import pytest

from tests.golden.history_examples import log_of, releases, statuses, told_of


def test_there_is_a_log_to_be_told() -> None:
    assert "0.1" in releases()
    assert len(log_of("0.1")) > 40


@pytest.mark.parametrize("release", releases())
def test_a_log_of_a_release_is_told_as_it_was_told_then(release: str) -> None:
    """Fields may have come since; none that was told has another value."""
    now = statuses(log_of(release))
    told = told_of(release)
    assert set(now) == set(told)
    for name, status in told.items():
        assert _part_of(now[name], status) == status, name


def _part_of(now: Any, told: Any) -> Any:
    """Of what is told now the fields that were told then, those within fields too."""
    if isinstance(now, dict) and isinstance(told, dict):
        return {field: _part_of(now[field], value) for field, value in told.items()}
    return now
