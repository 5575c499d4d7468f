"""Work on the bytes of a document: done at once where they are few, and in a thread where it would take long."""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX: Final = 64 * 1024
"""Encoding, decoding or hashing so much takes 0.2 ms at most. A thread costs as much to go to and come back from, and
takes the interpreter from the event loop meanwhile."""


async def aside(size_bytes: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call answers; `size_bytes` (about) is what it goes through."""
    if size_bytes <= INLINE_BYTES_MAX:
        return call(*args, **kwargs)
    return await asyncio.to_thread(call, *args, **kwargs)
