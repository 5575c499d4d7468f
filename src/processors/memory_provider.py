"""The gate to providers in memory: the reference, and enough for one worker alone."""

from collections.abc import Callable

from processors.provider import Go, Priority, ProviderState, Quota, Verdict, Wait, admit, report


class MemoryProviderGate:
    """ProviderGate of one process. `clock_us` is unix µs; it may not go back."""

    def __init__(self, quota: Quota, *, clock_us: Callable[[], int]) -> None:
        self._quota = quota
        self._clock_us = clock_us
        self._states: dict[str, ProviderState] = {}

    async def admit(self, name: str, *, tokens: int, priority: Priority = Priority.BULK) -> Go | Wait:
        self._states[name], answer = admit(self._state(name), self._quota, tokens, self._clock_us(), priority)
        return answer

    async def report(self, name: str, verdict: Verdict, *, retry_after_s: float | None = None) -> None:
        self._states[name] = report(self._state(name), verdict, retry_after_s, self._clock_us())

    def _state(self, name: str) -> ProviderState:
        return self._states.get(name, ProviderState())
