"""How often an address may show a key that opens nothing, before it is told to wait: 256 random bits are not guessed,
but whoever tries costs time and fills the log."""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Final

WINDOW_S: Final = 60.0
ADDRESSES_MAX: Final = 10_000
"""Remembered, 200 bytes each; whoever sends from more of them is met by the one that failed longest ago."""


class FailureBudget:
    """Of one process. `clock_s` is monotonic seconds; `a_minute_max` 0 is no limit."""

    def __init__(self, a_minute_max: int, clock_s: Callable[[], float]) -> None:
        self._a_minute_max = a_minute_max
        self._clock_s = clock_s
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str) -> int | None:
        """Counts one; the seconds to wait where it was one too many."""
        if self._a_minute_max == 0:
            return None
        now_s = self._clock_s()
        began_s, count = self._windows.get(address, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            began_s, count = now_s, 0
        self._windows[address] = (began_s, count + 1)
        self._windows.move_to_end(address)
        if len(self._windows) > ADDRESSES_MAX:
            self._windows.popitem(last=False)
        return None if count < self._a_minute_max else max(1, ceil(began_s + WINDOW_S - now_s))
