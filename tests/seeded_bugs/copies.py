"""A copy of the tree in which bugs are seeded and tests are run; the tree itself is never touched."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.seeded_bugs.bug import SeededBug, seeded_texts

COPIED: Final = ("src", "tests", "samples", "docs", "pyproject.toml")
TEST_S_MAX: Final = 90
"""What waits longer for something that a seeded bug has lost will not get it."""

RUN_S_MAX: Final = 600

_TESTS_WERE_RUN: Final = (0, 1)
"""pytest's exit codes; any other one tells that it was used wrongly, or could not import the tests."""


class Ran(msgspec.Struct, frozen=True):
    """One test as it went; `failure` is empty where it passed, None where it was skipped or broke outside of itself."""

    name: str
    failure: str | None


class NoReport(Exception):
    """pytest ended without telling how the tests went; its output is the message."""


class Copy:
    """One copy; one bug at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def seeded(self, bug: SeededBug) -> Iterator[None]:
        """The bug is in the copy meanwhile. Raises TextChanged."""
        texts = seeded_texts(self.root, bug)
        sound = {path: path.read_bytes() for path in texts}
        try:
            for path, text in texts.items():
                path.write_text(text, encoding="utf-8")
            yield
        finally:
            for path, content in sound.items():
                path.write_bytes(content)

    def run(self, tests: Sequence[str], *, processes: int = 0) -> list[Ran]:
        """Runs tests on what lies in the copy. Raises NoReport."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        options = ["-q", "-p", "no:cacheprovider", f"--timeout={TEST_S_MAX}", f"--junitxml={report}"]
        spread = ["-n", str(processes), "--dist", "loadfile"] if processes else []
        told = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *spread, *tests],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
        if not report.is_file():
            raise NoReport(told.stdout[-4_000:] + told.stderr[-2_000:])
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314  # pytest wrote it a moment ago
        if told.returncode not in _TESTS_WERE_RUN:
            raise NoReport(told.stdout[-4_000:] + told.stderr[-2_000:])
        return [Ran(f"{case.get('classname')}.{case.get('name')}", _failure_of(case)) for case in cases]


def make_copy(root: Path, target: Path) -> Copy:
    """A copy of what tests need, under `target`, which must not exist."""
    target.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    return Copy(target)


def is_of(ran: Ran, test: str) -> bool:
    """Whether it is this test (`path::test`, whatever its parameters)."""
    path, _, within = test.partition("::")
    dotted = f"{path.removesuffix('.py').replace('/', '.')}.{within.replace('::', '.')}"
    return ran.name.partition("[")[0] == dotted


def _failure_of(case: ET.Element) -> str | None:
    """Errors outside of a test's own call, in a fixture or an import, count for nothing."""
    failure = case.find("failure")
    if failure is not None:
        return f"{failure.get('message') or ''}\n{failure.text or ''}"
    return "" if case.find("error") is None and case.find("skipped") is None else None
