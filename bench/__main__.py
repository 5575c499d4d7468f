"""Every benchmark, each in a process of its own, one after the other: results into bench/results, the table into docs.

    python -m bench [--only NAME ...] [--table]

Ends with 1 where a benchmark failed, told at the end; the others have run all the same.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from bench.promises import PROMISES, Promise
from bench.results import followed_by, read, write
from bench.run import Failed, run
from bench.table import render


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [promise.name for promise in PROMISES]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--table", action="store_true", help="only write docs/benchmarks.md from the results")
    chosen = parser.parse_args()
    failed = [] if chosen.table else run_all([one for one in PROMISES if not chosen.only or one.name in chosen.only])
    print(f"written: {', '.join(str(path) for path in render(PROMISES))}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run_all(promises: Sequence[Promise]) -> list[str]:
    """The names of those that failed."""
    failed, began_s = list[str](), time.monotonic()
    for number, promise in enumerate(promises, start=1):
        print(f"[{number}/{len(promises)}] {promise.name}: {promise.text} (load {os.getloadavg()[0]:.1f})", flush=True)
        try:
            done = run(promise)
        except Failed as error:
            failed.append(promise.name)
            print(f"    FAILED: {error}", flush=True)
            continue
        write(promise.name, followed_by(read(promise.name), done))
        missed = [one.name for one in done.figures if one.share is not None and one.share < 1]
        short = f"; short of its goal: {', '.join(missed)}" if missed else ""
        print(f"    {len(done.figures)} figures in {done.took_seconds:.0f} s{short}", flush=True)
    print(f"{len(promises) - len(failed)} of {len(promises)} ran, {(time.monotonic() - began_s) / 60:.0f} minutes")
    return failed


if __name__ == "__main__":
    main()
