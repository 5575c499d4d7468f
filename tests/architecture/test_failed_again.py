"""What `make test` makes of tests that failed: a few of them get one more chance, alone."""

from pathlib import Path

import pytest

from tests.failed_again import FILES_MAX, failed_tests, to_run_again, told

ONE = "tests/faults/test_x.py::test_y[CUT]"


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
