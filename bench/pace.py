"""How fast this machine is at the moment: what tells a slow day from a slow program."""

import time
from typing import Final

ADDITIONS: Final = 500_000
ROUNDS: Final = 5

PACE_OF_GOALS_NS: Final = 24
"""Of the machine, quiet, on which goals in times and rates were set (November 2026)."""


def pace_ns() -> float:
    """Processor time of one addition in a loop of plain Python (ns; the least of five rounds, 0.2 s in all)."""
    return min(_round_ns() for _ in range(ROUNDS))


def _round_ns() -> float:
    total, begun_ns = 0, time.process_time_ns()
    for number in range(ADDITIONS):
        total += number
    return (time.process_time_ns() - begun_ns) / ADDITIONS
