"""Seeds one bug after the other into a copy of the tree: `python -m tests.seeded_bugs` shows that each is caught."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec

from tests.seeded_bugs.bug import SeededBug, TextChanged
from tests.seeded_bugs.copies import Copy, NoReport, Ran, is_of, make_copy
from tests.seeded_bugs.the_fourteen import BUGS, THE_FOURTEEN

ROOT: Final = Path(__file__).resolve().parents[2]


class Verdict(msgspec.Struct, frozen=True):
    """`missed` says what was expected and did not come; empty where the bug was caught."""

    bug: SeededBug
    took_s: float
    failed: int
    missed: tuple[str, ...]


def main() -> int:
    """Answers 1 where a bug was not caught, and 2 where the tests fail without any."""
    asked = _arguments()
    wanted = [bug for bug in BUGS if not asked.only or bug.name in asked.only]
    with tempfile.TemporaryDirectory(prefix="millstream-seeded-") as folder:
        copies = [make_copy(ROOT, Path(folder) / str(number)) for number in range(asked.workers)]
        broken = _broken_without(wanted, copies[0], asked.workers)
        if broken:
            print("\n".join(["these do not pass without any bug:", *broken]))
            return 2
        verdicts = _judged(wanted, copies, asked.tell)
    print(_table(verdicts))
    missed = [f"{verdict.bug.name}: {one}" for verdict in verdicts for one in verdict.missed]
    print("\n".join(missed))
    return int(bool(missed))


def _broken_without(bugs: Iterable[SeededBug], copy: Copy, processes: int) -> list[str]:
    """Tests that fail, or are not run, on the sound product: their red would say nothing."""
    tests = sorted({catch.test for bug in bugs for catch in bug.caught_by})
    try:
        ran = copy.run(tests, processes=processes)
    except NoReport as silence:
        return [str(silence)]
    unrun = [test for test in tests if not any(is_of(one, test) and one.failure == "" for one in ran)]
    return unrun + [f"{one.name}: {one.failure}" for one in ran if one.failure]


def _judged(bugs: Sequence[SeededBug], copies: Sequence[Copy], is_telling: bool) -> list[Verdict]:
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judge(bug: SeededBug) -> Verdict:
        copy = free.get()
        try:
            return _verdict(bug, copy, is_telling)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as threads:
        return list(threads.map(judge, bugs))


def _verdict(bug: SeededBug, copy: Copy, is_telling: bool) -> Verdict:
    began_s = time.monotonic()
    ran: list[Ran] = []
    try:
        with copy.seeded(bug):
            ran = copy.run(sorted({catch.test for catch in bug.caught_by}))
        missed = tuple(_missed(bug, ran))
    except (TextChanged, NoReport, subprocess.TimeoutExpired) as error:
        missed = (f"{type(error).__name__}: {error}",)
    if is_telling:
        print("\n".join(f"--- {bug.name}: {one.name}\n{one.failure}" for one in ran if one.failure), flush=True)
    return Verdict(bug, time.monotonic() - began_s, sum(bool(one.failure) for one in ran), missed)


def _missed(bug: SeededBug, ran: Sequence[Ran]) -> Iterable[str]:
    for catch in bug.caught_by:
        failures = [one.failure for one in ran if is_of(one, catch.test) and one.failure]
        if not failures:
            yield f"{catch.test} did not fail"
        elif not any(catch.because in failure for failure in failures):
            yield f"{catch.test} failed, but not because of {catch.because!r}: {failures[0][:1_000]}"


def _table(verdicts: Sequence[Verdict]) -> str:
    by_name = {verdict.bug.name: verdict for verdict in verdicts}
    lines = ["| of the fourteen | seeded | caught by | s |", "|---|---|---|---|"]
    asked, caught = 0, 0
    for number, listed in enumerate(THE_FOURTEEN, start=1):
        shown = [by_name[name] for name in listed.bugs if name in by_name]
        lines += [f"| {number}. {listed.what} | {_row(verdict)} |" for verdict in shown]
        asked += bool(shown)
        caught += bool(shown) and not any(verdict.missed for verdict in shown)
    total = sum(not verdict.missed for verdict in verdicts)
    lines += ["", f"{caught} of {asked} caught, {total} of {len(verdicts)} seeded bugs"]
    return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    tests = "NOT CAUGHT" if verdict.missed else ", ".join(catch.test for catch in verdict.bug.caught_by)
    return f"{verdict.bug.name} | {tests} | {verdict.took_s:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.seeded_bugs", description=__doc__)
    names = [bug.name for bug in BUGS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="this one; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="so many at a time (default 2)")
    parser.add_argument("--tell", action="store_true", help="print how the tests failed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
