"""What a release is made of: pinned actions, known licences, and a page of threats that tests answer."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from release import licences
from tests.architecture.schemas import checked, read_yaml
from tests.named_tests import is_test

ROOT: Final = Path(__file__).resolve().parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SECURITY: Final = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", SECURITY)))
COLUMNS: Final = ("asset", "attacker", "way", "what stops it", "shown by")


def workflow(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = read_yaml(path)[0]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_valid_by_its_schema(path: Path) -> None:
    told = checked("--builtin-schema", "vendor.github-workflows", path)
    assert told.exit_code == 0, told.output


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_a_job_says_what_it_needs_beyond_that(path: Path) -> None:
    found = workflow(path)
    assert found["permissions"] == {"contents": "read"}
    for name, job in found["jobs"].items():
        assert job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            # What a stranger can write (titles, branches) never becomes part of a command.
            assert "${{" not in step.get("run", ""), name
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_workflows_run_what_runs_here() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = [
        target
        for path in WORKFLOWS
        for line in re.findall(r"run: make (.+)", path.read_text(encoding="utf-8"))
        for target in line.split()
    ]
    assert {"check", "audit", "dist", "sbom"} <= set(made) <= targets


def test_the_page_of_licences_tells_of_every_requirement_that_is_locked_and_installed() -> None:
    """Not byte by byte: another platform or Python has some others."""
    found, _ = licences.licences(licences.locked())
    page = licences.PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"^\| ([a-z0-9._-]+) \| ([^|]+) \|", page, re.MULTILINE))
    assert {(one.name, one.expression) for one in found} <= told
    assert {name for name, _ in told} <= set(licences.locked()) | {"tesseract", "program", "requirement"}


def test_every_test_that_the_page_of_threats_names_exists() -> None:
    assert len(NAMED) >= 10
    assert [name for name in NAMED if not is_test(name)] == []


def test_every_threat_says_what_stops_it_and_which_test_shows_that() -> None:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in SECURITY.splitlines() if line.startswith("|")]
    rows = [row for row in cells if tuple(row) != COLUMNS and set("".join(row)) != {"-"}]
    assert len(rows) >= 10
    assert [row for row in rows if len(row) != len(COLUMNS) or not all(row)] == []
    assert [row[0] for row in rows if not re.fullmatch(r"(`tests/[\w/]+\.py::[\w:]+` ?)+", row[-1])] == []
