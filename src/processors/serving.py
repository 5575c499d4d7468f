"""Steps served under one name: a runner for each, heartbeats, claims, timers, and a graceful stop."""

import asyncio
from collections.abc import Coroutine, Mapping

import structlog

from events.log import EventLog
from events.seldom import Seldom
from events.steps import Step
from processors.liveness import beat_until, claim_until, leave
from processors.runner import GIVE_BACK_S, CarryOut, Runner
from processors.settings import WorkerSettings
from processors.timers import move_due_until
from processors.watch import look_until
from processors.workbench import Workbench


class Serving:
    """Of each step in `served` as many deliveries at a time as the settings say; none of those that have no slots.

    `log` is not patient: whoever looks whether work is still wanted looks again. `moves_timers`: what is due is brought
    into the inboxes, four times a second.
    """

    def __init__(
        self,
        served: Mapping[Step, CarryOut],
        bench: Workbench,
        log: EventLog,
        settings: WorkerSettings,
        *,
        moves_timers: bool = True,
    ) -> None:
        self._log = log
        self._moves_timers = moves_timers
        self._bench = bench
        self._settings = settings
        told = Seldom()
        self._runners = [
            Runner(
                step,
                carry_out,
                bench.inbox,
                consumer=bench.worker,
                partitions=log.partitions,
                slots=settings.slots(step),
                take_wait_ms=settings.take_wait_ms,
                random=bench.random,
                told=told,
            )
            for step, carry_out in served.items()
            if settings.slots(step) > 0
        ]

    async def run(self, stop: asyncio.Event, *, drain_s: float) -> None:
        """Works until `stop`, drains, leaves. Raises an ExceptionGroup where a loop broke: a bug, never an outage."""
        name, ended = self._bench.worker, asyncio.Event()
        steps = [runner.step.value for runner in self._runners]
        structlog.get_logger().info("worker_started", worker=name, steps=steps)
        try:
            async with asyncio.TaskGroup() as loops:
                for loop in self._loops(stop, ended):
                    loops.create_task(loop)
                async with asyncio.TaskGroup() as runners:
                    for runner in self._runners:
                        runners.create_task(runner.run(stop, drain_s))
                ended.set()
        finally:
            await leave(self._bench.inbox, name, timeout_s=GIVE_BACK_S)
        structlog.get_logger().info("worker_stopped", worker=name)

    def _loops(self, stop: asyncio.Event, ended: asyncio.Event) -> list[Coroutine[None, None, None]]:
        settings, bench, inbox = self._settings, self._bench, self._bench.inbox
        heartbeat_s, interval_s = settings.heartbeat_ms / 1_000, settings.claim_interval_ms / 1_000
        timer_s, watch_s = settings.timer_interval_ms / 1_000, settings.watch_interval_ms / 1_000
        loops = [
            beat_until(ended, inbox, bench.worker, heartbeat_s=heartbeat_s),
            claim_until(stop, inbox, self._runners, bench.worker, interval_s=interval_s, lease_ms=settings.lease_ms),
            look_until(ended, bench.watch, self._log, interval_s=watch_s),
        ]
        return [*loops, move_due_until(stop, inbox, interval_s=timer_s)] if self._moves_timers else loops
