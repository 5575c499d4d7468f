"""docs/guarantees.md: whatever is promised there is shown by a test that exists."""

import re
from pathlib import Path
from typing import Final

from tests.named_tests import is_test

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", PAGE)))

COLUMNS: Final = ("Promise", "Setting", "Shown by", "Figure")


def rows() -> list[list[str]]:
    """The cells of every row of the page's tables, without heads and rules."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")]
    return [row for row in cells if tuple(row) != COLUMNS and set("".join(row)) != {"-"}]


def test_every_test_that_the_page_names_exists() -> None:
    assert len(NAMED) > 100
    assert [name for name in NAMED if not is_test(name)] == []


def test_every_promise_names_its_setting_and_a_test() -> None:
    assert len(rows()) > 20
    assert [row for row in rows() if len(row) != len(COLUMNS) or not row[0] or not row[1]] == []
    assert [row[0] for row in rows() if not re.fullmatch(r"(`tests/[\w/]+\.py::[\w:]+` ?)+", row[2])] == []
