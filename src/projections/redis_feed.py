"""The change feed on Redis: one stream a partition, written by `commit.lua` alone."""

import asyncio
from collections.abc import Mapping
from typing import Any

from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from events.redis_log import BLOCK_MS_MAX
from events.redis_streams import StreamReads
from projections.feed import FeedEntry, FeedPosition, decode_changes, within

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class RedisFeed:
    """ChangeFeed on Redis. `blocking_client` serves nothing but blocking reads (see `redis_clients.make_clients`)."""

    def __init__(self, client: RedisClient, blocking_client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._waits = StreamReads(blocking_client)
        self._reads = StreamReads(client)
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

    async def feed_reaches(self, partition: int, after: FeedPosition) -> bool:
        with at_the_border():
            found: Any = await self._client.xrange(self._keys.changes(partition), min=str(after), count=1)
        if after == FeedPosition():
            return not found or _is_very_first(found[0])
        return bool(found) and _position(found[0][0]) == after

    async def feed_since(self, partition: int, after: FeedPosition, *, limit: int) -> list[FeedEntry] | None:
        key = self._keys.changes(partition)
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xlen(key)
                pipeline.xrange(key, min=str(after), count=limit + 2)
                length, found = await pipeline.execute()
        if after == FeedPosition():
            reaches_back = length == 0 or _is_very_first(found[0])
            return within(_entries(partition, found), limit) if reaches_back else None
        # The entry itself has to be there: what was written behind it and lost with it would be missing.
        if not found or _position(found[0][0]) != after:
            return None
        return within(_entries(partition, found[1:]), limit)

    async def _read(self, after: Mapping[int, FeedPosition], limit: int, block_ms: int) -> list[FeedEntry]:
        places = {self._keys.changes(partition): str(place) for partition, place in after.items()}
        reads = self._waits if block_ms > 0 else self._reads
        answer = await reads.read(places, count=limit, block_ms=max(block_ms, 0))
        return [entry for key, found in answer.items() for entry in _entries(self._partition_of[key], found)]


def _entries(partition: int, found: Entries) -> list[FeedEntry]:
    return [FeedEntry(partition, _position(entry_id), decode_changes(fields[b"c"])) for entry_id, fields in found]


def _is_very_first(entry: tuple[bytes, dict[bytes, bytes]]) -> bool:
    """Whether nothing was trimmed ahead of it: the first entry of a feed counts its own bytes alone."""
    return int(entry[1][b"b"]) == len(entry[1][b"c"])


def _position(entry_id: bytes) -> FeedPosition:
    ms, _, sequence = entry_id.partition(b"-")
    return FeedPosition(int(ms), int(sequence))
