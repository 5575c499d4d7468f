"""Runs worlds: `python -m tests.simulation --seed 7` replays one exactly, `--seeds 10000` runs many."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.simulation.run import FAULTS_S
from tests.simulation.seeds import told_of


def main() -> int:
    """Answers 1 where something did not hold in some world."""
    asked = _arguments()
    if asked.seed is not None:
        told = told_of(asked.seed, faults_s=asked.faults, tells=print if asked.tell else None)
        print(told)
        return int(isinstance(told, str))
    return _many(range(asked.first, asked.first + asked.seeds), asked.faults, asked.workers)


def _many(seeds: range, faults_s: float, workers: int) -> int:
    began_s, failed, events, blobs, rows = time.monotonic(), 0, 0, 0, 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for told in pool.map(partial(told_of, faults_s=faults_s), seeds, chunksize=10):
            if isinstance(told, str):
                failed += 1
                print(f"FAILED {told}", flush=True)
            else:
                events += told.events
                blobs += told.orphan_blobs
                rows += told.orphan_rows
    passed_s = time.monotonic() - began_s
    orphans = f"{blobs} blobs and the rows of {rows} documents left to the collector"
    print(f"{len(seeds)} worlds, {failed} failed, {events:,} events, {orphans}, {passed_s:.0f} s")
    return int(failed > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--tell", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--seeds", type=int, default=100, help="run so many (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--workers", type=int, default=2, help="in so many processes (default 2)")
    parser.add_argument("--faults", type=float, default=FAULTS_S, help=f"virtual seconds of faults ({FAULTS_S:g})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
