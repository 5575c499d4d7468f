"""What a benchmark measured, as data: a command notes its figures, and writes them where `--json FILE` asks for them.

note("50 in flight", "/s", ours, beside=Peer("the bare script, awaited", theirs))
...
if __name__ == "__main__":
    with reported():
        main()
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

OPTION: Final = "--json"


class Bound(StrEnum):
    AT_LEAST = "at least"
    AT_MOST = "at most"


class Of(StrEnum):
    """What a goal is about: the value itself, or its ratio to the peer's."""

    VALUE = "value"
    RATIO = "ratio"


class Goal(msgspec.Struct, frozen=True):
    """`number` in the figure's unit, or times the peer's."""

    bound: Bound
    of: Of
    number: float


class Peer(msgspec.Struct, frozen=True):
    """Who or what was measured in the same run, and the value of each round."""

    name: str
    rounds: Sequence[float]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over `rounds` rounds, `low` to `high` is how far they lie apart; `ratio` is ours to the peer's."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    rounds: int
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    goal: Goal | None = None

    @property
    def share(self) -> float | None:
        """How much of its goal it reaches: 1 and more is met. None without a goal."""
        if self.goal is None:
            return None
        reached = self.ratio if self.goal.of is Of.RATIO else self.value
        if reached is None:
            return 0.0
        match self.goal.bound:
            case Bound.AT_LEAST:
                return reached / self.goal.number
            case Bound.AT_MOST:
                return self.goal.number / reached if reached > 0 else 1.0


def figure_of(name: str, unit: str, rounds: Sequence[float], beside: Peer | None = None) -> Figure:
    """The ratio is the median of those of the rounds, so that a drifting machine drifts for both."""
    own = Figure(
        name=name, unit=unit, value=statistics.median(rounds), low=min(rounds), high=max(rounds), rounds=len(rounds)
    )
    if beside is None:
        return own
    peer_value = statistics.median(beside.rounds)
    if len(rounds) == len(beside.rounds):
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rounds, beside.rounds, strict=True))
    else:
        ratio = own.value / peer_value
    return msgspec.structs.replace(own, peer=beside.name, peer_value=peer_value, ratio=ratio)


_noted: Final = list[Figure]()


def note(name: str, unit: str, rounds: Sequence[float] | float, *, beside: Peer | None = None) -> Figure:
    """Keeps a figure for the report of this process; one number stands for one round."""
    figure = figure_of(name, unit, rounds if isinstance(rounds, Sequence) else [rounds], beside)
    _noted.append(figure)
    return figure


@contextmanager
def reported() -> Iterator[None]:
    """Takes `--json FILE` out of the command line and, if what is inside succeeds, writes the figures there."""
    path: Path | None = None
    if OPTION in sys.argv:
        place = sys.argv.index(OPTION)
        if place + 1 == len(sys.argv):
            sys.exit(f"{OPTION} needs the name of a file")
        path = Path(sys.argv[place + 1])
        del sys.argv[place : place + 2]
    yield
    if path is not None:
        path.write_bytes(msgspec.json.encode(_noted))
