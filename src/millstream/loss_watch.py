"""Looks whether the log still holds what this process was told it does; where not, the partition's epoch is raised.

Every process that appends does so for itself: an event that was answered and then lost has nobody else who knows of it.
"""

import asyncio
from typing import Final

import structlog

from events.epochs import Epochs, SeenEnds
from events.errors import LogError
from events.log import EventLog
from events.seldom import Seldom

LOOK_S: Final = 3.0
"""Some short reads for each partition that this process has appended to."""

TOLD_EVERY_S: Final = 60.0

_log = structlog.get_logger()


async def raise_where_lost(seen: SeenEnds, log: EventLog, epochs: Epochs) -> list[int]:
    """The partitions that have lost what this process saw. Raises what the log raises; what was not told yet is told by
    the next call."""
    lost = await seen.lost(log)
    for partition, position in lost.items():
        is_ours = await epochs.raise_epoch(partition, position)
        seen.forget(partition, position)
        _log.error("log_lost_its_end", partition=partition, was_at=str(position), raised=is_ours)
    return sorted(lost)


async def watch_for_losses(seen: SeenEnds, log: EventLog, epochs: Epochs, stop: asyncio.Event) -> None:
    """Until `stop`. Whatever goes wrong, the next look asks again."""
    told = Seldom(TOLD_EVERY_S)
    while not stop.is_set():
        try:
            await raise_where_lost(seen, log, epochs)
        except LogError as error:
            if (kept_back := told.due()) is not None:
                _log.warning("loss_watch_waits_for_log", error=type(error).__name__, kept_back=kept_back)
        except Exception:
            if told.due() is not None:
                _log.exception("loss_watch_broke")
        try:
            await asyncio.wait_for(stop.wait(), LOOK_S)
        except TimeoutError:
            continue
