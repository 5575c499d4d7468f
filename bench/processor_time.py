"""Processor time of processes and of all that they have started, as Linux counts it (10 ms steps)."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TICKS_HZ: Final = os.sysconf("SC_CLK_TCK")


def processor_s(pids: Iterable[int]) -> float:
    """Seconds, user and system, of these processes and all below them; of what has ended and was waited for too."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        parents[int(entry.name)] = int(fields[1])
        ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    wanted = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(ticks.get(pid, 0) for pid in wanted) / TICKS_HZ
