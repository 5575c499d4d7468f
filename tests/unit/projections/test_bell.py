import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from projections.bell import Bell


@pytest.fixture
async def bell() -> AsyncIterator[Bell]:
    bell = Bell()
    yield bell
    bell.leave()


async def test_a_wait_ends_when_it_is_rung_and_at_once_where_it_was(bell: Bell) -> None:
    waiting = asyncio.create_task(bell.wait(60))
    await asyncio.sleep(0)
    bell.ring()
    assert await waiting
    assert await bell.wait(60)
    bell.still()
    assert not await bell.wait(0.001)


async def test_each_wait_has_its_whole_time_whatever_timer_was_set_before(bell: Bell) -> None:
    loop = asyncio.get_running_loop()
    bell.ring()
    assert await bell.wait(0.05)
    bell.still()
    for timeout_s in (0.05, 0.1, 0.02):
        begun_s = loop.time()
        assert not await bell.wait(timeout_s)
        assert loop.time() - begun_s >= timeout_s


async def test_a_timer_of_a_wait_that_was_rung_does_not_end_the_next_one_early(bell: Bell) -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(bell.wait(0.05))
    await asyncio.sleep(0)
    bell.ring()
    assert await waiting
    bell.still()
    begun_s = loop.time()
    assert not await bell.wait(0.2)
    assert loop.time() - begun_s >= 0.2


async def test_a_reader_that_is_cancelled_and_waits_again_is_rung(bell: Bell) -> None:
    waiting = asyncio.create_task(bell.wait(60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bell.ring()
    assert await bell.wait(60)


async def test_many_waits_set_one_timer(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at, timers = loop.call_at, list[float]()

    def counting(when: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, callback, *args)

    monkeypatch.setattr(loop, "call_at", counting)
    for _ in range(100):
        waiting = asyncio.create_task(bell.wait(60))
        await asyncio.sleep(0)
        bell.ring()
        assert await waiting
        bell.still()
    assert len(timers) == 1


async def test_a_wait_that_is_put_off_has_its_whole_time_from_then_on(bell: Bell) -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(bell.wait(0.1))
    await asyncio.sleep(0)
    assert bell.is_awaited
    put_off_s = loop.time() + 0.1
    bell.put_off(put_off_s)
    assert not await waiting
    assert loop.time() >= put_off_s + 0.1
    assert not bell.is_awaited
