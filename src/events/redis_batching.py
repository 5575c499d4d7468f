"""Calls of one script that wait in the same turn of the event loop leave as one pipeline.

One awaited call after another costs 40 to 80 µs of client time each, in a pipeline 12 to 20 µs; those that share
something go as one call of the script (redis_groups.py). What waits is shared
among the pipelines that are free, so that the server works on one while this process reads the answers of another: as
one batch, 200 writers would wait for the server together, and the server for them. While `FLIGHTS_MAX` pipelines are
under way, what arrives waits for the next one: the busier, the larger the batches.
"""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import msgspec
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from events.errors import LogUnavailable, NotReplicated
from events.redis_border import RedisClient, Script, at_the_border, exchange, translated
from events.redis_groups import Shared, grouped, side_by_side
from events.redis_wire import Argument, Command

FLIGHTS_MAX: Final = 4
"""Pipelines under way at a time, 1 to the size of the connection pool."""

BATCH_CALLS_MAX: Final = 256
"""Calls a pipeline: at 7 to 15 µs each the server answers within 4 ms."""

PART_CALLS_MIN: Final = 16
"""Calls of a pipeline that is sent while others are free to fly: a pipeline costs its client as much as three calls."""

BATCH_BYTES_MAX: Final = 8_388_608
"""Arguments a pipeline; a single larger call goes alone. Redis cuts a connection that has 1 GiB of unread commands."""


def share_of(waiting: int, free: int) -> int:
    """How many of the calls that wait the next of the free pipelines takes: an equal part, but no mere handful."""
    parts = min(free, max(waiting // PART_CALLS_MIN, 1))
    return -(-waiting // parts)


class Confirmation(msgspec.Struct, frozen=True):
    """That a call counts as done when this many replicas have it too, which may take `wait_ms` (WAIT; 1 or more)."""

    replicas: int
    wait_ms: int


class _Call:
    __slots__ = ("answer", "arguments", "keys", "number", "shared", "size_bytes")

    def __init__(
        self,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        shared: Shared | None,
        size_bytes: int,
        answer: asyncio.Future[Any],
        number: int,
    ) -> None:
        self.keys = keys
        self.arguments = arguments
        self.shared = shared
        self.size_bytes = size_bytes
        self.answer = answer
        self.number = number

    @property
    def near(self) -> str:
        """A key in the slot of all others."""
        return self.keys[0] if self.shared is None else self.shared.keys[0]


class Batching:
    """Sends one script's calls, `calls_max` a pipeline. A call that is cancelled may still take effect."""

    def __init__(
        self,
        client: RedisClient,
        script: Script,
        confirmation: Confirmation | None = None,
        *,
        calls_max: int = BATCH_CALLS_MAX,
    ) -> None:
        self._client = client
        self._script = script
        self._confirmation = confirmation
        self._calls_max = calls_max
        self._waiting: list[_Call] = []
        self._numbers = count()
        self._is_launching = False
        self._flights: set[asyncio.Task[None]] = set()

    async def run(
        self,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        shared: Shared | None = None,
        size_bytes: int = 0,
    ) -> Any:
        """The script's answer. Raises LogUnavailable, LogFull and what else `translated` makes of a refusal.

        With `shared` the script is one that answers a list, an element for each of the calls that go as one; this
        call's is answered. NotReplicated where no replica confirmed in time: the call took effect and may be repeated.
        """
        loop = asyncio.get_running_loop()
        call = _Call(keys, arguments, shared, size_bytes, loop.create_future(), next(self._numbers))
        self._waiting.append(call)
        if not self._is_launching:
            self._is_launching = True
            loop.call_soon(self._launch)
        return await call.answer

    def _launch(self) -> None:
        self._is_launching = False
        free = FLIGHTS_MAX - len(self._flights)
        if free > 0 and len(self._waiting) > PART_CALLS_MIN:  # what shares something flies together as far as it fits
            ahead = free * self._calls_max
            self._waiting[:ahead] = side_by_side(self._waiting[:ahead])
        while self._waiting and (free := FLIGHTS_MAX - len(self._flights)) > 0:
            batch = self._next_batch(share_of(len(self._waiting), free))
            flight = asyncio.get_running_loop().create_task(self._fly(grouped(batch)))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if self._waiting and not flight.cancelled():
            self._launch()

    def _next_batch(self, share: int) -> list[_Call]:
        size_bytes = calls = 0
        for call in self._waiting[: min(share, self._calls_max)]:
            size_bytes += call.size_bytes
            if calls and size_bytes > BATCH_BYTES_MAX:
                break
            calls += 1
        batch, self._waiting = self._waiting[:calls], self._waiting[calls:]
        return batch

    async def _fly(self, groups: list[Sequence[_Call]]) -> None:
        try:
            with at_the_border():
                answers = await self._answers(groups)
        except Exception as error:  # whatever it is, those who wait must hear of it
            answers = [error] * len(groups)
        except asyncio.CancelledError:
            broken_off = LogUnavailable("the call was broken off; whether it took effect is unknown")
            _settle(groups, [broken_off] * len(groups))
            raise
        _settle(groups, answers)

    async def _answers(self, groups: list[Sequence[_Call]]) -> list[Any]:
        answers = await self._exchange(groups)
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._script.load(self._client, {groups[place][0].near for place in unknown})
            again = await self._exchange([groups[place] for place in unknown])
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        return answers

    async def _exchange(self, groups: Sequence[Sequence[_Call]]) -> list[Any]:
        commands = [self._command(group) for group in groups]
        if self._confirmation is None:
            return await exchange(self._client, commands)
        tail = ("WAIT", self._confirmation.replicas, self._confirmation.wait_ms)
        return [_confirmed(found, self._confirmation) for found in await exchange(self._client, commands, tail)]

    def _command(self, group: Sequence[_Call]) -> Command:
        first = group[0]
        if first.shared is None:
            return self._script.command(first.keys, first.arguments)
        keys, arguments = [*first.shared.keys], [*first.shared.arguments]
        for call in group:
            keys += call.keys
            arguments += call.arguments
        return self._script.command(keys, arguments)


def _confirmed(found: Any, confirmation: Confirmation) -> Any:
    if isinstance(found, Exception):
        return found
    answer, replicas = found
    if isinstance(replicas, int) and replicas >= confirmation.replicas:
        return answer
    return NotReplicated(
        f"{replicas} replicas confirmed within {confirmation.wait_ms} ms instead of {confirmation.replicas}: "
        "the events are on the primary alone; the call may be repeated"
    )


def _settle(groups: Sequence[Sequence[_Call]], answers: Sequence[Any]) -> None:
    """A group's answer is a list with one for each of its calls, or why there is none for any."""
    for group, told in zip(groups, answers, strict=True):
        for_each = told if group[0].shared is not None and isinstance(told, list) else [told] * len(group)
        for call, answer in zip(group, for_each, strict=True):
            if not call.answer.done():
                _tell(call.answer, answer)


def _tell(waiting: asyncio.Future[Any], answer: Any) -> None:
    if isinstance(answer, RedisError | RedisClusterException | OSError):
        waiting.set_exception(translated(answer))
    elif isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
