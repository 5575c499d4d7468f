"""API keys on Redis: one hash, of records by id and of the version of all. Records are JSON.

A change is compared by WATCH: two that meet would else overwrite one another, and a revocation could be lost.

A replica that takes over may lack the last changes. Were versions counted from one to the next, the first change behind
it would have the version of a lost one, and a process that saw that one would go on with its keys, the revoked among
them. So a version is the time of its change, or one more than the version before where that is later. Behind a clock
that was ahead of ours that could be below the lost one, whose copy would undo the change: so it is also more than any
version that this process has seen.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline
from redis.exceptions import WatchError

from domain.api_keys import KeyRecord
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from millstream.admission.key_store import KeysSeen

VERSION: Final = "version"
"""A field that is no key's id."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(KeyRecord)


def _unix_us() -> int:
    return time.time_ns() // 1_000


class RedisKeyStore:
    """KeyStore of an installation. `clock_us` is unix µs; to a process that saw no version before its first change,
    clocks apart by less than a fail-over takes do no harm."""

    def __init__(self, client: RedisClient, keys: Keys, *, clock_us: Callable[[], int] = _unix_us) -> None:
        self._clock_us = clock_us
        self._client = client
        self._name = keys.api_keys
        self._used_name = keys.api_keys_used
        self._seen = 0

    async def version(self) -> int:
        with at_the_border():
            return self._saw(int(await self._client.hget(self._name, VERSION) or 0))

    async def read(self) -> KeysSeen:
        with at_the_border():
            found: Any = await self._client.hgetall(self._name)
        version = self._saw(int(found.pop(VERSION.encode(), 0)))
        return KeysSeen(version, tuple(_decoder.decode(found[key]) for key in sorted(found)))

    async def put(self, record: KeyRecord, *, before: KeyRecord | None) -> bool:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                await pipeline.watch(self._name)
                found, version = await pipeline.hmget(self._name, [record.id, VERSION])
                if (None if found is None else _decoder.decode(found)) != before:
                    return False
                pipeline.multi()  # type: ignore[no-untyped-call]  # redis-py gives it no types
                pipeline.hset(self._name, record.id, _encoder.encode(record))
                pipeline.hset(self._name, VERSION, str(self._next(int(version or 0))))
                return await _executed(pipeline)

    async def take_over(self, seen: KeysSeen) -> bool:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                await pipeline.watch(self._name)
                if int(await pipeline.hget(self._name, VERSION) or 0) >= seen.version:
                    return False
                pipeline.multi()  # type: ignore[no-untyped-call]  # redis-py gives it no types
                pipeline.delete(self._name)
                pipeline.hset(self._name, VERSION, str(seen.version))
                for one in seen.records:
                    pipeline.hset(self._name, one.id, _encoder.encode(one))
                return await _executed(pipeline)

    def _saw(self, version: int) -> int:
        self._seen = max(self._seen, version)
        return version

    def _next(self, version: int) -> int:
        self._saw(version)
        return max(self._seen + 1, self._clock_us())

    async def note_used(self, used_at_us: Mapping[str, int]) -> None:
        if used_at_us:
            with at_the_border():
                items = [item for pair in used_at_us.items() for item in pair]
                await self._client.hset(self._used_name, items=items)

    async def used(self) -> dict[str, int]:
        with at_the_border():
            found: Any = await self._client.hgetall(self._used_name)
        return {key.decode(): int(value) for key, value in found.items()}


async def _executed(pipeline: Pipeline | ClusterPipeline) -> bool:
    """False where another change came in between."""
    try:
        await pipeline.execute()
    except WatchError:
        return False
    return True
