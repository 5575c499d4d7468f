"""Several calls at once, of which one may fail."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order. Raises the first error, once the other calls are cancelled and over: none of them goes on
    with what the caller gives back then.

    A TaskGroup alone would wrap the error, which callers know by its class.
    """
    waiting = list(calls)
    if len(waiting) == 1:
        return [await waiting[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in waiting]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
