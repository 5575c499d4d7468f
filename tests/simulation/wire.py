"""What lies between a process and a store: requests that travel, and everything that can happen to them on the way.

The effect is the server's, not the caller's: one that is killed, cancelled or gives up may still have asked for it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import StrEnum
from random import Random
from typing import Any, TypeVar

from tests.simulation.climate import CALM, Climate
from tests.simulation.loop import Process, SimulatedLoop

T = TypeVar("T")


class Store(StrEnum):
    """What can be away as a whole."""

    LOG = "log"
    BLOBS = "blobs"
    INDEX = "index"
    VIEWS = "views"


class Weather:
    """The faults of the moment. `climate` is replaced by a calm one when the faults stop."""

    def __init__(self, rng: Random, climate: Climate) -> None:
        self.rng = rng
        self.climate = climate
        self.away: set[Store] = set()

    def calm(self) -> None:
        self.climate = CALM
        self.away.clear()

    def happens(self, rate: float) -> bool:
        return rate > 0 and self.rng.random() < rate

    def latency_s(self) -> float:
        if self.happens(self.climate.slow):
            return self.rng.uniform(0.5, 3.0)
        if self.rng.random() < 0.05:
            return self.rng.uniform(0.05, 0.5)
        return self.rng.random() ** 3 * 0.03

    def work_s(self) -> float:
        """How long a piece of knowledge work takes."""
        return self.rng.choice((0.01, 0.05, 0.3, 1.5)) * self.rng.random()


class Wire:
    """One process's way to the stores."""

    def __init__(self, loop: SimulatedLoop, weather: Weather, process: Process) -> None:
        self.loop = loop
        self.weather = weather
        self.process = process
        self.is_given_up = False
        """While an effect takes place: its caller does not wait for it any more."""

    async def call(
        self,
        store: Store,
        effect: Callable[[], Coroutine[Any, Any, T]],
        unavailable: Callable[[], Exception],
        *,
        full: Callable[[], Exception] | None = None,
        is_local: bool = False,
    ) -> T:
        """Raises what the effect raises, and `unavailable` or `full` as the weather has it.

        `is_local`: the store is a library in the caller's process, and shares its fate.
        """
        weather, climate = self.weather, self.weather.climate
        reply: asyncio.Future[T] = self.loop.create_future()
        request = _Request(self, effect, reply, is_local=is_local)
        if store in weather.away or weather.happens(climate.refused):
            request.later(request.refuse, unavailable())
        elif full is not None and weather.happens(climate.full):
            request.later(request.refuse, full())
        elif weather.happens(climate.lost):
            request.later(request.take_effect, unavailable())
        elif weather.happens(climate.late) and not is_local:
            request.later(request.refuse, unavailable())
            self.loop.call_later(weather.rng.uniform(0.05, 2.0), request.take_effect, None, context=Context())
        else:
            request.later(request.take_effect, None)
        return await reply


class _Request:
    def __init__(
        self,
        wire: Wire,
        effect: Callable[[], Coroutine[Any, Any, Any]],
        reply: asyncio.Future[Any],
        *,
        is_local: bool,
    ) -> None:
        self._wire = wire
        self._effect = effect
        self._reply = reply
        self._is_local = is_local

    def later(self, callback: Callable[..., None], *arguments: object) -> None:
        """In the server's time, or the caller's own."""
        context = None if self._is_local else Context()
        self._wire.loop.call_later(self._wire.weather.latency_s(), callback, *arguments, context=context)

    def refuse(self, error: Exception) -> None:
        self._answer(None, error)

    def take_effect(self, lost: Exception | None) -> None:
        """The dead may have died before they sent it; what a library has not begun ends with its caller's patience."""
        wire = self._wire
        if wire.loop.is_burying or (self._is_local and self._reply.cancelled()):
            return
        if wire.process.is_dead and wire.weather.rng.random() < 0.5:
            return
        value: object = None
        error: Exception | None = None
        wire.is_given_up = self._reply.done()
        try:
            value = at_once(self._effect())
        except AssertionError as violation:
            wire.loop.fail(violation)
            return
        except Exception as raised:
            error = raised
        self.later(self._answer, value, lost or error)

    def _answer(self, value: object, error: Exception | None) -> None:
        if self._reply.done():
            return
        if error is None:
            self._reply.set_result(value)
        else:
            self._reply.set_exception(error)
            self._reply.exception()  # a caller that is dead by now will not fetch it


def at_once(coro: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that waits for nothing, as those of the stores in memory do."""
    try:
        coro.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise RuntimeError("a store in memory waited for something")
