import asyncio

import pytest

from events.unless import unless


async def test_what_the_work_answers_is_answered() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await unless(asyncio.Event(), work(), None) == "done"


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unless(asyncio.Event(), work(), None)


@pytest.mark.parametrize("is_set_before", [True, False])
async def test_a_stop_cancels_the_work_and_waits_until_it_has_ended(is_set_before: bool) -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    waiting = asyncio.create_task(unless(stop, work(), "stopped"))
    if is_set_before:
        stop.set()
    else:
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(stop.set)

    assert await waiting == "stopped"
    assert ended.is_set() or is_set_before


async def test_who_waits_may_be_cancelled_and_leaves_nothing_running() -> None:
    waiting = asyncio.create_task(unless(asyncio.Event(), asyncio.Event().wait(), None))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
