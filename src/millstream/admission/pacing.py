"""How many calls a minute a key may make, counted by the library `limits` as a sliding window, for all API processes
together. The headers are those of draft-ietf-httpapi-ratelimit-headers-10."""

import asyncio
import time
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

import msgspec
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisClusterStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio.cluster import RedisCluster

from domain.api_keys import KeyLimits
from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_border import RedisClient
from millstream.admission.route_access import Pace

WINDOW_S: Final = 60
ANSWER_S_MAX: Final = 1.0


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """One call, counted or refused. `remaining` calls of `quota` are left; all are again after `reset_s`."""

    pace: Pace
    is_admitted: bool
    quota: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """For the answer, whatever it is."""
        return {
            "RateLimit-Policy": f'"{self.pace}";q={self.quota};w={WINDOW_S}',
            "RateLimit": f'"{self.pace}";r={self.remaining};t={self.reset_s}',
        }


class Pacer:
    """Raises LogUnavailable where the counters do not answer within a second."""

    def __init__(self, storage: Storage) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def take(self, who: str, pace: Pace, a_minute: int) -> Paced:
        """Counts one call of `who`, unless it is one too many."""
        item = RateLimitItemPerMinute(a_minute)
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                is_admitted = await self._limiter.hit(item, pace.value, who)
                left = await self._limiter.get_window_stats(item, pace.value, who)
        except (StorageError, TimeoutError) as error:
            raise LogUnavailable(f"the counters of requests do not answer: {error!r}") from error
        return Paced(
            pace=pace,
            is_admitted=is_admitted,
            quota=a_minute,
            remaining=max(0, left.remaining),
            reset_s=max(1, ceil(left.reset_time - time.time())),
        )


def on_redis(client: RedisClient, keys: Keys) -> Storage:
    """Counters on the installation's Redis, through the connections that are there."""
    if isinstance(client, RedisCluster):
        return _on_cluster(client, keys)
    return RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=keys.rates,
        connection_pool=client.connection_pool,  # type: ignore[arg-type]  # declared as numbers and texts, takes a pool
    )


def _on_cluster(client: RedisCluster, keys: Keys) -> Storage:
    class Counters(RedisClusterStorage):
        """The library would open a client of its own, from an address."""

        def configure_bridge(self) -> None:
            assert isinstance(self.bridge, RedispyBridge)  # noqa: S101  as asked for below
            connection: Any = client  # declared narrower than what the library's own client is
            self.bridge.storage = connection
            self.bridge.connection_getter = lambda _: connection

    return Counters("async+redis+cluster://", wrap_exceptions=True, implementation="redispy", key_prefix=keys.rates)


def a_minute_of(pace: Pace, limits: KeyLimits, as_set: Mapping[Pace, int]) -> int:
    """Calls a minute of one key; 0 is no limit."""
    own = {
        Pace.READ: limits.reads_per_minute,
        Pace.SEARCH: limits.searches_per_minute,
        Pace.WRITE: limits.writes_per_minute,
    }[pace]
    return as_set[pace] if own is None else own
