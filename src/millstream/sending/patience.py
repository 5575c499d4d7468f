"""Pure: how long to go on where a server is busy or away."""

from collections.abc import Callable

import msgspec


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Waits double from `base_s` to `cap_s`, with full jitter; given up `for_s` after the first failure in a row."""

    base_s: float = 0.5
    cap_s: float = 15.0
    for_s: float = 120.0

    def wait_s(
        self, failures: int, failing_s: float, asked_s: float | None, random: Callable[[], float]
    ) -> float | None:
        """None: given up. `failures` counts from 1; a wait that the server asked for is made no shorter."""
        if failing_s >= self.for_s:
            return None
        backed_off_s = random() * min(self.cap_s, self.base_s * 2.0 ** min(failures, 20))
        return max(backed_off_s, asked_s or 0.0)
