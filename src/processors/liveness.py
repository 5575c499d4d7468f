"""Says that this worker lives, and takes over from those that do not.

Liveness is the heartbeat, never progress: slow is not dead, and a worker's deliveries need no renewal of their own.
"""

import asyncio
from collections.abc import Sequence

import structlog

from events.errors import LogError, LogFull, LogUnavailable
from events.inbox import Inbox
from events.seldom import Seldom
from processors.runner import Runner
from processors.waiting import pause


async def beat_until(ended: asyncio.Event, inbox: Inbox, consumer: str, *, heartbeat_s: float) -> None:
    """Beats until `ended`, through the drain too: what is being finished must not be claimed by others."""
    told = Seldom()
    while True:
        try:
            await inbox.beat(consumer)
        except (LogUnavailable, LogFull) as error:
            if (kept_back := told.due()) is not None:
                structlog.get_logger().warning(
                    "heartbeat_missed", worker=consumer, error=type(error).__name__, kept_back=kept_back
                )
        if await pause(ended, heartbeat_s):
            return


async def claim_until(
    stop: asyncio.Event, inbox: Inbox, runners: Sequence[Runner], consumer: str, *, interval_s: float, lease_ms: int
) -> None:
    """Hands deliveries of silent workers, and those that were given back, to the runners that have free slots.

    Once a lease each runner looks for what is pending in its own name: a request whose caller gave up may have been
    carried out after that, and nobody else would find what it took.
    """
    lease_s, looked_s = lease_ms / 1_000, 0.0
    while not await pause(stop, interval_s):
        looked_s += interval_s
        if looked_s >= lease_s:
            looked_s = 0.0
            for runner in runners:
                runner.look_for_own()
        for runner in runners:
            if runner.free_slots == 0 or stop.is_set():
                continue
            try:
                claimed = await inbox.claim_from_dead(
                    runner.inboxes, consumer=consumer, count=runner.free_slots, silent_ms_min=lease_ms
                )
            except (LogUnavailable, LogFull):
                runner.look_for_own()
                break  # the runners tell of the outage
            if claimed:
                structlog.get_logger().info("deliveries_claimed", step=runner.step.value, count=len(claimed))
            runner.begin(claimed)


async def leave(inbox: Inbox, consumer: str, *, timeout_s: float) -> None:
    """What is still in this worker's name may be claimed at once; without this, after the lease."""
    try:
        async with asyncio.timeout(timeout_s):
            await inbox.leave(consumer)
    except (LogError, TimeoutError) as error:
        structlog.get_logger().warning("leaving_unnoticed", worker=consumer, error=type(error).__name__)
