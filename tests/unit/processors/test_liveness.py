"""Heartbeats, leaving, timers, and the settings that govern them."""

import asyncio

import pytest

from events.document import StepFailed
from events.errors import LogFull, LogUnavailable
from events.steps import Step
from processors.liveness import beat_until, leave
from processors.settings import WorkerSettings
from processors.step import Retry
from processors.timers import MOVED_MAX, move_due_until
from tests.unit.processors.mill import WORKER, Mill, Obedient, answering


class Beats:
    """Counts heartbeats and misses some of them."""

    def __init__(self, mill: Mill, *missed: int) -> None:
        self.count = 0
        self.is_fifth = asyncio.Event()
        self._beat = mill.inbox.beat
        self._missed = missed
        mill.inbox.beat = self  # type: ignore[method-assign]

    async def __call__(self, consumer: str) -> None:
        self.count += 1
        if self.count == 5:
            self.is_fifth.set()
        if self.count in self._missed:
            raise (LogUnavailable("reset by peer"), LogFull("out of memory"))[self.count % 2]
        await self._beat(consumer)


async def test_a_worker_beats_until_it_has_ended_and_outlives_a_missed_beat() -> None:
    mill, ended = Mill(), asyncio.Event()
    beats = Beats(mill, 2, 3)
    beating = asyncio.create_task(beat_until(ended, mill.inbox, WORKER, heartbeat_s=0.001))
    async with asyncio.timeout(20):
        await beats.is_fifth.wait()
        ended.set()
        await beating
    await mill.submit(1)
    await mill.take_one(Step.PARSE)
    assert await mill.claim(Step.PARSE, "worker-2", silent_ms_min=1_000) == []


async def test_what_a_worker_that_left_still_holds_can_be_claimed_at_once() -> None:
    mill = Mill()
    await mill.inbox.beat(WORKER)
    await mill.submit(1)
    await mill.take_one(Step.PARSE)
    assert await mill.claim(Step.PARSE, "worker-2", silent_ms_min=3_600_000) == []
    await leave(mill.inbox, WORKER, timeout_s=1)
    assert len(await mill.claim(Step.PARSE, "worker-2", silent_ms_min=3_600_000)) == 1


async def test_leaving_does_not_wait_for_a_store_that_hangs() -> None:
    mill = Mill()

    asked: list[str] = []

    async def hang(consumer: str) -> None:
        asked.append(consumer)
        await asyncio.Event().wait()

    mill.inbox.leave = hang  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        await leave(mill.inbox, WORKER, timeout_s=0.01)
    assert asked == [WORKER]


async def test_what_is_due_comes_back_into_its_inbox_however_much_it_is() -> None:
    mill, stop = Mill(), asyncio.Event()
    count = 2 * MOVED_MAX + 1
    await mill.submit(count)
    deliveries = mill.deliveries(Obedient(answering(Retry("odd", "later"))))
    for delivery in await mill.take(Step.PARSE, count=count):
        await deliveries.carry_out(delivery, 1)
    await mill.until(lambda event: isinstance(event, StepFailed), count)
    mill.clock.advance(600)
    moving = asyncio.create_task(move_due_until(stop, mill.inbox, interval_s=3_600))
    arrived = 0
    async with asyncio.timeout(20):
        while arrived < count:
            arrived += len(await mill.take(Step.PARSE, count=count)) or await _a_moment(mill)
        stop.set()
        await moving
    assert arrived == count


async def _a_moment(mill: Mill) -> int:
    await mill.log.store.arrived.wait(1.0)
    return 0


async def test_timers_outlive_a_store_that_is_away() -> None:
    mill, stop, is_back = Mill(), asyncio.Event(), asyncio.Event()
    tries = 0

    async def unsteady() -> list[int]:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise (LogUnavailable("reset by peer"), LogFull("out of memory"))[tries % 2]
        is_back.set()
        return []

    mill.inbox.due = unsteady  # type: ignore[method-assign]
    moving = asyncio.create_task(move_due_until(stop, mill.inbox, interval_s=0.001))
    async with asyncio.timeout(20):
        await is_back.wait()
        stop.set()
        await moving
    assert tries >= 4


def test_a_lease_shorter_than_three_heartbeats_is_refused() -> None:
    assert WorkerSettings(lease_ms=3_000, heartbeat_ms=1_000).lease_ms == 3_000
    with pytest.raises(ValueError, match="three times"):
        WorkerSettings(lease_ms=2_999, heartbeat_ms=1_000)


def test_every_step_of_this_package_has_slots_and_callbacks_have_none_yet() -> None:
    settings = WorkerSettings()
    assert {step for step in Step if settings.slots(step) > 0} == set(Step) - {Step.CALLBACK}
