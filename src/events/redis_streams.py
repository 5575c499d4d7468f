"""XREAD behind many streams at once. One server is asked in one call, a cluster in one call for each slot.

On a cluster the calls that nothing was heard of yet stay under way when one of them is answered: the next read takes
them over where it waits behind the same entries. Breaking one off would cost its connection.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio.cluster import RedisCluster

from events.keys import slot_of
from events.redis_border import RedisClient, at_the_border, execute

Places = Mapping[str, str]
"""Streams, and behind which of their entries to look."""

Found = dict[bytes, list[Any]]
"""By stream: its entries as redis-py gives them. Streams without any are not in it."""


class StreamReads:
    """`client` serves nothing but reads that wait (see `redis_clients.make_clients`)."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._under_way: dict[tuple[tuple[str, str], ...], asyncio.Task[Found]] = {}

    async def read(self, places: Places, *, count: int, block_ms: int) -> Found:
        """At most `count` entries of each stream; empty after `block_ms` (0: at once) without any.

        Raises LogUnavailable.
        """
        with at_the_border():
            if not isinstance(self._client, RedisCluster):
                return await _read(self._client, places, count, block_ms)
            if block_ms <= 0:
                slots = [_read(self._client, part, count, 0) for part in _by_slot(places)]
                return {name: found for part in await asyncio.gather(*slots) for name, found in part.items()}
            return await self._first_of(self._client, places, count, block_ms)

    async def _first_of(self, client: RedisCluster, places: Places, count: int, block_ms: int) -> Found:
        deadline = asyncio.get_running_loop().time() + block_ms / 1_000
        waits = [self._wait(client, part, count, block_ms) for part in _by_slot(places)]
        found: Found = {}
        while waits and not found and (rest_s := deadline - asyncio.get_running_loop().time()) > 0:
            done, left = await asyncio.wait(waits, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED)
            waits = list(left)  # those that ended without an entry were begun by an earlier read: time is nearly up
            for one in done:
                found |= one.result()
        return found

    def _wait(self, client: RedisCluster, places: Places, count: int, block_ms: int) -> asyncio.Task[Found]:
        name = tuple(places.items())
        task = self._under_way.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(_read(client, places, count, block_ms))
            self._under_way[name] = task
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return task

    def _ended(self, name: tuple[tuple[str, str], ...], task: asyncio.Task[Found]) -> None:
        del self._under_way[name]
        if not task.cancelled():
            task.exception()  # of a read that nobody waits for any more: the next one meets the same trouble


async def _read(client: RedisClient, places: Places, count: int, block_ms: int) -> Found:
    block: tuple[str | int, ...] = ("BLOCK", block_ms) if block_ms > 0 else ()
    near = next(iter(places))
    answer: Any = await execute(
        client, "XREAD", "COUNT", count, *block, "STREAMS", *places, *places.values(), near=near
    )
    return answer or {}


def _by_slot(places: Places) -> list[dict[str, str]]:
    slots: dict[int, dict[str, str]] = {}
    for name, place in places.items():
        slots.setdefault(slot_of(name), {})[name] = place
    return list(slots.values())
