"""docs/settings.md has every setting as the code has it, and the pages name none that is not there."""

import re
from pathlib import Path
from typing import Final

import pytest

from millstream.setting_ranges import range_of
from millstream.settings import Settings
from release.settings_page import PAGE, page

LIMITS: Final = (PAGE.with_name("limits.md")).read_text(encoding="utf-8")
PAGES: Final = sorted(PAGE.parent.glob("*.md"))
NO_SETTINGS: Final = {"CONFIG", "URL", "API_KEY"}
"""Variables of the client, and of which file to read."""


def test_every_setting_stands_in_the_page_as_the_code_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "`python -m release.settings_page` writes it anew"
    assert page().count("\n| `") == len(Settings.__struct_fields__)


def test_every_limit_that_is_told_of_clients_is_a_setting() -> None:
    named = [
        name
        for cell in re.findall(r"^\|[^|]+\|([^|]+)\|", LIMITS, re.MULTILINE)
        for name in re.findall(r"`([A-Z0-9_]+)`", cell)
    ]
    assert len(named) > 20
    assert [name for name in named if name.lower() not in Settings.__struct_fields__] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_names_no_setting_that_is_not_there(path: Path) -> None:
    named = set(re.findall(r"\bMILLSTREAM_([A-Z0-9_]*[A-Z0-9])\b", path.read_text(encoding="utf-8")))
    ours = {name for name in named if not name.startswith("TEST_")} - NO_SETTINGS
    assert {name for name in ours if name.lower() not in Settings.__struct_fields__} == set()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("port", "0 to 65,535"),
        ("upload_bytes_max", "at least 1"),
        ("log_format", "auto, json or console"),
        ("archive", "true or false"),
        ("host", ""),
    ],
)
def test_a_range_is_told_in_words(name: str, said: str) -> None:
    assert range_of(name) == said
