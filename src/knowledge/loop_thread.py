"""An event loop in a thread of its own: code of others that blocks it blocks nobody else."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_JOIN_S_MAX: Final = 2.0
"""A call that never ends keeps its thread; the process does not wait for it."""


class LoopThread:
    """Started by the first call. What it runs at a time shares its loop, as it would on any other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` comes to; cancelling this cancels it there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_of(call), self._started()))

    async def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, _JOIN_S_MAX)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop


async def _of(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    ending: Coroutine[Any, Any, Any] = asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), _JOIN_S_MAX)
    if left:
        loop.run_until_complete(ending)
    else:
        ending.close()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
