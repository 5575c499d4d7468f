"""Every test once, and the few that failed once more, alone: `python -m tests.failed_again`, followed by what pytest is
told (docs/adr/0030).

Faults are injected under time limits, while four processes of tests share two cores. What fails then and holds alone is
told as FLAKY and does not turn the run red; what fails again does, and so does any other end of the first run.
"""

import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

TESTS_FAILED: Final = 1
"""How pytest ends where tests failed, and nothing worse."""

FILES_MAX: Final = 3
"""Tests of more files at once are no accident of timing. Files count, since a server that came up too late fails all
tests of its file."""

FAILED: Final = Path(".pytest_cache/v/cache/lastfailed")
"""Where pytest notes what failed."""

_PYTEST: Final = (sys.executable, "-m", "pytest", "-q")


def main(asked: Sequence[str]) -> int:
    """The exit code of pytest; 0 too where everything that failed passed alone. The working directory is the root."""
    FAILED.unlink(missing_ok=True)  # what an earlier run left there is not meant
    first = subprocess.call([*_PYTEST, *asked])
    again = to_run_again(first, failed_tests(FAILED))
    if not again:
        return first
    print(f"\nrun once more, alone: {', '.join(again)}\n", flush=True)
    second = subprocess.call([*_PYTEST, *again])
    print(told(again, second), flush=True)
    return second


def failed_tests(noted: Path) -> list[str]:
    """What failed in the run that wrote this file; one in which nothing did writes none."""
    return list(msgspec.json.decode(noted.read_bytes(), type=dict[str, bool])) if noted.exists() else []


def to_run_again(exit_code: int, failed: Collection[str]) -> tuple[str, ...]:
    """Empty where the first run decides. A file that cannot be collected is no test."""
    if exit_code != TESTS_FAILED or not all("::" in one for one in failed):
        return ()
    files = {one.partition("::")[0] for one in failed}
    return tuple(sorted(failed)) if len(files) <= FILES_MAX else ()


def told(again: Collection[str], exit_code: int) -> str:
    """What is said at the end, for those who read only that."""
    if exit_code:
        return "\nfailed twice, or one of them did: this is no accident"
    lines = (f"FLAKY  {one}" for one in again)
    return "\n".join(
        ["", "=" * 100, *lines, "passed alone; how it failed stands above. A bug to be mended.", "=" * 100]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
