"""What `make test` makes of tests that failed: a few of them get one more chance, alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.failed_again import FAILED, FILES_MAX, failed_tests, to_run_again, told

ROOT = Path(__file__).parents[2]
ONE = "tests/faults/test_x.py::test_y[CUT]"

FLAKY = """
from pathlib import Path

def test_fails_once():
    been_here = Path("been-here")
    if not been_here.exists():
        been_here.touch()
        raise AssertionError("the first of both")
"""


def test_few_tests_that_failed_are_run_again() -> None:
    assert to_run_again(1, [ONE]) == (ONE,)
    failed = [f"tests/test_{n}.py::test_it" for n in range(FILES_MAX)]
    assert to_run_again(1, failed) == tuple(failed)


def test_all_tests_of_a_file_may_have_failed_for_one_reason() -> None:
    failed = [f"tests/test_x.py::test_{n}" for n in range(FILES_MAX + 1)]
    assert to_run_again(1, failed) == tuple(failed)


@pytest.mark.parametrize(
    ("exit_code", "failed"),
    [
        (0, [ONE]),  # left by another run
        (1, []),
        (1, [f"tests/test_{n}.py::test_it" for n in range(FILES_MAX + 1)]),
        (1, [ONE, "tests/test_broken.py"]),
        (2, [ONE]),  # interrupted
        (3, [ONE]),  # pytest broke
        (-9, [ONE]),  # killed
    ],
)
def test_any_other_end_stands(exit_code: int, failed: list[str]) -> None:
    assert to_run_again(exit_code, failed) == ()


def test_a_run_without_failures_leaves_no_list(tmp_path: Path) -> None:
    assert failed_tests(tmp_path / "lastfailed") == []


def test_what_passed_alone_is_told_loudly() -> None:
    assert f"FLAKY  {ONE}" in told([ONE], 0)
    assert "FLAKY" not in told([ONE], 1)


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
