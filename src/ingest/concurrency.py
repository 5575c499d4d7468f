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
