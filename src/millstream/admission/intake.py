"""Whether more documents may come in now: how much waits to be worked on, how many uploads are under way."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    @contextmanager
    def place(self, who: str | None) -> Iterator[None]:
        """Held as long as an upload lasts; `who` None has no limit of its own. Raises Rejected."""
        self._check_backlog()
        if 0 < self._in_flight_max <= self._in_flight.total():
            detail = f"{self._in_flight_max:,} uploads are under way, no more are taken at a time."
            raise Rejected(ProblemCode.OVERLOADED, detail, retry_after_s=FULL_S)
        if who is not None and 0 < self._in_flight_per_key_max <= self._in_flight[who]:
            detail = f"{self._in_flight_per_key_max:,} uploads of this key are under way, no more are taken at a time."
            raise Rejected(ProblemCode.RATE_LIMITED, detail, retry_after_s=FULL_S)
        self._in_flight[who] += 1
        try:
            yield
        finally:
            self._in_flight[who] -= 1
            if self._in_flight[who] == 0:
                del self._in_flight[who]
