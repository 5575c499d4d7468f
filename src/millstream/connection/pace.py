"""Pure: whether the body of a request comes fast enough. Times are seconds of one clock that never jumps."""

from ingest.problems import ProblemCode, Rejected
from millstream.connection.limits import ConnectionLimits


class Pace:
    """One body. What is not read on purpose (nobody asked for it yet, or the store is slow) is not the client's delay.

    Three rules: no silence of `body_silence_s_max`; in each window of that length `body_bytes_per_s_min` on average,
    so that a byte now and then is no way around the first; and JSON, which is small, within `json_body_s_max`.
    """

    def __init__(self, limits: ConnectionLimits, now_s: float, *, is_json: bool) -> None:
        self._limits = limits
        self._is_json = is_json
        self._paused_at_s: float | None = None
        self._came_at_s = now_s
        self._window_began_s = now_s
        self._window_bytes = 0
        self._began_s = now_s

    def take(self, size_bytes: int, now_s: float) -> None:
        """So many bytes have come."""
        self._window_bytes += size_bytes
        self._came_at_s = now_s

    def pause(self, now_s: float) -> None:
        """From now on nothing is read."""
        self._paused_at_s = now_s

    def resume(self, now_s: float) -> None:
        """Reading goes on: the pause counts for nothing."""
        if self._paused_at_s is None:
            return
        paused_s = now_s - self._paused_at_s
        self._paused_at_s = None
        self._came_at_s += paused_s
        self._window_began_s += paused_s
        self._began_s += paused_s

    def verdict(self, now_s: float) -> Rejected | None:
        """Why the client is not waited for any longer, or None. Begins a new window where one is over."""
        limits = self._limits
        if self._paused_at_s is not None:
            return None
        if now_s - self._came_at_s >= limits.body_silence_s_max:
            return _too_slow(f"nothing came for {limits.body_silence_s_max:g} s")
        if self._is_json and now_s - self._began_s >= limits.json_body_s_max:
            return _too_slow(f"JSON has to come within {limits.json_body_s_max:g} s")
        window_s = now_s - self._window_began_s
        if window_s >= limits.body_silence_s_max:
            if self._window_bytes < limits.body_bytes_per_s_min * window_s:
                return _too_slow(f"less than {limits.body_bytes_per_s_min:,} bytes a second came")
            self._window_began_s = now_s
            self._window_bytes = 0
        return None


def _too_slow(what: str) -> Rejected:
    return Rejected(ProblemCode.REQUEST_TIMEOUT, f"The body was not waited for any longer: {what}.")
