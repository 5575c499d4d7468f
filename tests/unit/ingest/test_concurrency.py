"""Of two calls at once both have ended when their caller goes on, whatever becomes of either."""

import asyncio

import pytest

from ingest.concurrency import both_of

NAMES = ("beside", "call")


class Two:
    """Calls that are told how to end, and tell of their begin and end."""

    def __init__(self, *fails: str) -> None:
        self.begun, self.may_end, self.ended = ({name: asyncio.Event() for name in NAMES} for _ in range(3))
        self._fails = fails

    async def one(self, name: str) -> None:
        self.begun[name].set()
        try:
            await self.may_end[name].wait()
            if name in self._fails:
                raise ValueError(name)
        finally:
            self.ended[name].set()

    async def start(self) -> "asyncio.Task[None]":
        under_way = asyncio.create_task(both_of(self.one("beside"), self.one("call")))
        for name in NAMES:
            await self.begun[name].wait()
        return under_way

    async def end(self, name: str) -> None:
        self.may_end[name].set()
        await self.ended[name].wait()


@pytest.mark.parametrize(("first", "second"), [NAMES, NAMES[::-1]])
async def test_both_are_under_way_together_and_both_are_waited_for(first: str, second: str) -> None:
    two = Two()
    under_way = await two.start()
    await two.end(first)
    assert not under_way.done()
    two.may_end[second].set()
    await under_way
    assert two.ended[second].is_set()


@pytest.mark.parametrize("fails", [("beside",), ("call",), ("beside", "call")])
async def test_an_error_is_raised_once_the_other_has_ended_too(fails: tuple[str, ...]) -> None:
    two = Two(*fails)
    under_way = await two.start()
    await two.end("call")
    assert not under_way.done()
    two.may_end["beside"].set()
    with pytest.raises(ValueError, match=fails[-1]):
        await under_way


async def test_who_is_cancelled_takes_both_along() -> None:
    two = Two()
    under_way = await two.start()
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert all(two.ended[name].is_set() for name in NAMES)


@pytest.mark.parametrize("fails", [(), ("call",)])
async def test_who_is_cancelled_while_the_other_is_waited_for_takes_it_along(fails: tuple[str, ...]) -> None:
    two = Two(*fails)
    under_way = await two.start()
    await two.end("call")
    await asyncio.sleep(0)  # it waits for the other
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert two.ended["beside"].is_set()


async def test_who_is_cancelled_twice_goes_on_before_neither() -> None:
    clears_up, has_ended = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            clears_up.set()
            try:
                await asyncio.Event().wait()
            finally:
                has_ended.set()

    under_way = asyncio.create_task(both_of(slow_to_end(), asyncio.Event().wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    under_way.cancel()
    await clears_up.wait()
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert has_ended.is_set()
