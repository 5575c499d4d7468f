"""Waiting that ends early when the worker shall stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Waits; True as soon as `stop` is set, False when the time is over."""
    if stop.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def also_set(stop: asyncio.Event, other: asyncio.Event) -> AsyncIterator[None]:
    """While inside, `other` is set when `stop` is, so that one wait serves both."""

    async def follow() -> None:
        await stop.wait()
        other.set()

    follower = asyncio.create_task(follow())
    try:
        yield
    finally:
        follower.cancel()
