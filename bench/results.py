"""A result file for each benchmark: the last run, and beside it the run that it is compared with."""

from pathlib import Path
from typing import Final

import msgspec

from bench.figures import Figure

RESULTS: Final = Path(__file__).parent / "results"

BUSY_LOAD: Final = 2.5
"""Mean of the last minute. A benchmark that has just ended leaves up to 2 on two cores; what is above is somebody else,
or one that started more processes than there are cores."""


class Machine(msgspec.Struct, frozen=True):
    """Where a run took place."""

    architecture: str
    cores: int
    memory_gib: float
    system: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a benchmark. `load` is the load average of the last minute before it; `commit` ends in `+` where
    files differed from it; `pace_ns` is what an addition took before or after it, the slower (pace.py; 0: not told)."""

    date: str
    commit: str
    load: float
    took_seconds: float
    machine: Machine
    versions: dict[str, str]
    figures: list[Figure]
    pace_ns: float = 0.0

    @property
    def is_busy(self) -> bool:
        return self.load > BUSY_LOAD


class Result(msgspec.Struct, frozen=True):
    """`before` is a run of an earlier commit, if there was one."""

    latest: Run
    before: Run | None = None


def followed_by(earlier: Result | None, run: Run) -> Result:
    """The run after an earlier result: what it is compared with is the last quiet run of another commit, else the last
    one."""
    if earlier is None:
        return Result(run)
    candidates = [one for one in (earlier.latest, earlier.before) if one is not None and one.commit != run.commit]
    quiet = [one for one in candidates if not one.is_busy]
    return Result(run, next(iter(quiet or candidates), None))


def path_of(name: str) -> Path:
    return RESULTS / f"{name}.json"


def read(name: str) -> Result | None:
    path = path_of(name)
    return msgspec.json.decode(path.read_bytes(), type=Result) if path.exists() else None


def write(name: str, result: Result) -> None:
    RESULTS.mkdir(exist_ok=True)
    path_of(name).write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
