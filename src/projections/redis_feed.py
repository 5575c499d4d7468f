"""The change feed on Redis: one stream a partition, written by `commit.lua` alone."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from events.keys import Keys
from events.redis_border import at_the_border, execute
from events.redis_log import BLOCK_MS_MAX
from projections.feed import FeedEntry, FeedPosition, decode_changes

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class RedisFeed:
    """ChangeFeed on Redis. `blocking_client` serves nothing but blocking reads (see `redis_setup.make_clients`)."""

    def __init__(self, client: Redis, blocking_client: Redis, keys: Keys) -> None:
        self._client = client
        self._blocking = blocking_client
        self._keys = keys
        self._partition_of = {keys.changes(partition).encode(): partition for partition in range(keys.partitions)}

    @property
    def partitions(self) -> int:
        return self._keys.partitions

    async def feed_end(self, partition: int) -> FeedPosition:
        with at_the_border():
            found: Any = await self._client.xrevrange(self._keys.changes(partition), count=1)
        return _position(found[0][0]) if found else FeedPosition()

    async def feed_read(self, after: Mapping[int, FeedPosition], *, limit: int, wait_ms: int = 0) -> list[FeedEntry]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        while True:
            rest_ms = int((deadline - loop.time()) * 1_000)
            found = await self._read(after, limit, min(rest_ms, BLOCK_MS_MAX))
            if found or rest_ms <= BLOCK_MS_MAX:
                return found

    async def feed_since(self, partition: int, after: FeedPosition, *, limit: int) -> list[FeedEntry] | None:
        key = self._keys.changes(partition)
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xrange(key, count=1)
                pipeline.xrevrange(key, count=1)
                pipeline.xrange(key, min=f"({after}", count=limit + 1)
                first, last, found = await pipeline.execute()
        reaches_back = _position(first[0][0]) <= after <= _position(last[0][0]) if first else after == FeedPosition()
        if not reaches_back or len(found) > limit:
            return None
        return _entries(partition, found)

    async def _read(self, after: Mapping[int, FeedPosition], limit: int, block_ms: int) -> list[FeedEntry]:
        keys = [self._keys.changes(partition) for partition in after]
        block: tuple[str | int, ...] = ("BLOCK", block_ms) if block_ms > 0 else ()
        client = self._blocking if block else self._client
        places = map(str, after.values())
        with at_the_border():
            answer: Any = await execute(client, "XREAD", "COUNT", limit, *block, "STREAMS", *keys, *places)
        return [entry for key, found in (answer or {}).items() for entry in _entries(self._partition_of[key], found)]


def _entries(partition: int, found: Entries) -> list[FeedEntry]:
    return [FeedEntry(partition, _position(entry_id), decode_changes(fields[b"c"])) for entry_id, fields in found]


def _position(entry_id: bytes) -> FeedPosition:
    ms, _, sequence = entry_id.partition(b"-")
    return FeedPosition(int(ms), int(sequence))
