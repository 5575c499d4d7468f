"""Moves what is due back into its inbox. Every worker does it for every partition; a timer is moved once."""

import asyncio
from typing import Final

import structlog

from events.errors import LogFull, LogUnavailable
from events.inbox import Inbox
from events.seldom import Seldom
from processors.waiting import pause

MOVED_MAX: Final = 100
"""Timers moved in one call; more would hold the store's only thread for longer than a millisecond."""


async def move_due_until(stop: asyncio.Event, inbox: Inbox, *, interval_s: float) -> None:
    """Looks every `interval_s`, in one call for all partitions: the longest that a due retry waits."""
    told = Seldom()
    while not stop.is_set():
        try:
            await asyncio.gather(*(_move_all(stop, inbox, partition) for partition in await inbox.due()))
        except (LogUnavailable, LogFull) as error:
            if (kept_back := told.due()) is not None:
                structlog.get_logger().warning("timers_unavailable", error=type(error).__name__, kept_back=kept_back)
        await pause(stop, interval_s)


async def _move_all(stop: asyncio.Event, inbox: Inbox, partition: int) -> None:
    while await inbox.move_due(partition, limit=MOVED_MAX) == MOVED_MAX and not stop.is_set():
        continue
