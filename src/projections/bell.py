"""A bell that one reader waits for, with an end to each wait, and hardly any timers."""

import asyncio


class Bell:
    """Rung until it is made still.

    A timer is set once and, when it fires early, once more, instead of one for each wait: of 1,000 streams told
    something, setting and cancelling timers was half of the work.
    """

    def __init__(self) -> None:
        self._is_rung = False
        self._waiter: asyncio.Future[bool] | None = None
        self._until_s = 0.0
        self._timeout_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        self._is_rung = True
        self._answer(is_rung=True)

    def still(self) -> None:
        self._is_rung = False

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits, and was not rung for."""
        return self._waiter is not None and not self._waiter.done()

    def put_off(self, now_s: float) -> None:
        """Whoever waits has as much time as if the wait began now, a time of the event loop."""
        self._until_s = now_s + self._timeout_s

    def leave(self) -> None:
        """Nobody will wait any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self, timeout_s: float) -> bool:
        """True once it is rung, at once where it is; False when the time is over."""
        if self._is_rung:
            return True
        loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._until_s = loop.time() + timeout_s
        if self._timer is None or self._timer.when() > self._until_s:
            self.leave()
            self._timer = loop.call_at(self._until_s, self._look, loop)
        self._waiter = loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if loop.time() >= self._until_s:
            self._answer(is_rung=False)
        else:
            self._timer = loop.call_at(self._until_s, self._look, loop)

    def _answer(self, *, is_rung: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(is_rung)
