"""A graceful stop: what can be finished in time is finished, the rest is given back at once."""

import asyncio
from collections.abc import Collection


async def finish_or_cancel(tasks: Collection[asyncio.Task[None]], drain_s: float) -> set[asyncio.Task[None]]:
    """Waits up to `drain_s`, then cancels; answers which were cancelled, once every task has ended.

    What those held is the caller's to give back: a task that is cancelled before its first step runs no handler.
    """
    if not tasks:
        return set()
    _, unfinished = await asyncio.wait(tasks, timeout=drain_s)
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)
    return unfinished
