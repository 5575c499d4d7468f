"""How often an outage is told of: a process that tries on for hours must not fill the disk with saying so."""

import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 5.0
"""Between two lines about the same thing."""


class Seldom:
    """Lets one line through and keeps the next ones back for `every_s`, counting them."""

    def __init__(self, every_s: float = EVERY_S, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock_s = clock_s
        self._quiet_until_s = float("-inf")
        self._kept_back = 0

    def due(self) -> int | None:
        """None: keep this line back. Else it is to be told, with the number of those kept back before it."""
        now_s = self._clock_s()
        if now_s < self._quiet_until_s:
            self._kept_back += 1
            return None
        kept_back, self._kept_back = self._kept_back, 0
        self._quiet_until_s = now_s + self._every_s
        return kept_back
