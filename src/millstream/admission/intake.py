"""Whether more documents may come in now: how much waits to be worked on, how many uploads are under way."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from ingest.problems import ProblemCode, Rejected

FULL_S: Final = 5
"""An upload under way ends within seconds, or takes hours: nobody knows."""


class Intake:
    """Of one process. `check_backlog` raises Rejected where too much waits; 0 of a limit is none."""

    def __init__(self, check_backlog: Callable[[], None], *, in_flight_max: int, in_flight_per_key_max: int) -> None:
        self._check_backlog = check_backlog
        self._in_flight_max = in_flight_max
        self._in_flight_per_key_max = in_flight_per_key_max
        self._in_flight: Counter[str | None] = Counter()
        self._all_in_flight = 0

    def place(self, who: str | None) -> "Place":
        """Held as long as an upload lasts; `who` None has no limit of its own. Entering it raises Rejected."""
        return Place(self, who)

    def enter(self, who: str | None) -> None:
        """Raises Rejected."""
        self._check_backlog()
        if 0 < self._in_flight_max <= self._all_in_flight:
            detail = f"{self._in_flight_max:,} uploads are under way, no more are taken at a time."
            raise Rejected(ProblemCode.OVERLOADED, detail, retry_after_s=FULL_S)
        if who is not None and 0 < self._in_flight_per_key_max <= self._in_flight[who]:
            detail = f"{self._in_flight_per_key_max:,} uploads of this key are under way, no more are taken at a time."
            raise Rejected(ProblemCode.RATE_LIMITED, detail, retry_after_s=FULL_S)
        self._in_flight[who] += 1
        self._all_in_flight += 1

    def leave(self, who: str | None) -> None:
        """Once for each that entered."""
        self._all_in_flight -= 1
        self._in_flight[who] -= 1
        if self._in_flight[who] == 0:
            del self._in_flight[who]


class Place:
    """A context manager. Of its own class: made of a generator it takes three times as long."""

    def __init__(self, intake: Intake, who: str | None) -> None:
        self._intake = intake
        self._who = who

    def __enter__(self) -> None:
        self._intake.enter(self._who)

    def __exit__(self, *_: object) -> None:
        self._intake.leave(self._who)
