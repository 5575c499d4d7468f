"""Several calls at once, of which one may fail."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order. Raises the first error, once every call has ended.

    A TaskGroup would wrap the error into a group, which no handler of HTTP errors looks into; a plain `gather` would
    leave the others running, and what they store after the clean-up would stay for ever.
    """
    results = await asyncio.gather(*calls, return_exceptions=True)
    values = list[T]()
    for result in results:
        if isinstance(result, BaseException):
            raise result
        values.append(result)
    return values


async def both_of(beside: Coroutine[Any, Any, object], call: Coroutine[Any, Any, object]) -> None:
    """Two calls at once, one of them in the task of who calls: a third of what `all_of` takes for two.

    Raises the error of `call`, or of `beside`, once both have ended. `beside` takes its first step before anything that
    `call` asks the loop for.
    """
    other = asyncio.create_task(beside)
    try:
        await call
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError):
            other.cancel()
        # Not `wait`, which a cancellation ends while the other goes on: it would store what nobody cleans up.
        await asyncio.gather(other, return_exceptions=True)
        raise
    await other
