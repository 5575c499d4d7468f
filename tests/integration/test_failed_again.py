"""What `make test` says at its end, of runs that really happened: each is a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.failed_again import FAILED

ROOT = Path(__file__).parents[2]

FLAKY = """
from pathlib import Path

def test_fails_once():
    been_here = Path("been-here")
    if not been_here.exists():
        been_here.touch()
        raise AssertionError("the first of both")
"""


def made(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    stale = folder / FAILED
    stale.parent.mkdir(parents=True)
    stale.write_text('{"test_gone.py::test_gone": true}')
    return subprocess.run(
        [sys.executable, "-m", "tests.failed_again", "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_test_that_fails_once_is_flaky_and_its_failure_is_seen(tmp_path: Path) -> None:
    ran = made(tmp_path, FLAKY)
    assert ran.returncode == 0, ran.stdout
    assert "the first of both" in ran.stdout
    assert "FLAKY  test_it.py::test_fails_once" in ran.stdout


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    ran = made(tmp_path, "def test_fails():\n    raise AssertionError('again')\n")
    assert ran.returncode == 1
    assert ran.stdout.count("AssertionError: again") >= 2
    assert "FLAKY" not in ran.stdout
