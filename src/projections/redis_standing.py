"""AskStanding on Redis: one pipeline for all partitions, and a look at the replicas of each server."""

from collections.abc import Callable

from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from events.redis_replicas import primaries
from events.replicas import halted
from projections.standing import Standing


class RedisStanding:
    """`clock_ms` is unix ms, and compared with heartbeats by the server's clock: a second apart is a second's error.

    `needs_replica`: an event counts as kept when a replica has it too.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        *,
        lease_ms: int,
        clock_ms: Callable[[], int],
        needs_replica: bool = False,
    ) -> None:
        self._needs_replica = needs_replica
        self._client = client
        self._keys = keys
        self._lease_ms = lease_ms
        self._clock_ms = clock_ms

    async def __call__(self) -> Standing:
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.zcount(self._keys.consumers, self._clock_ms() - self._lease_ms, "+inf")
                for partition in range(self._keys.partitions):
                    pipeline.zcard(self._keys.dead(partition))
                    pipeline.zcard(self._keys.due(partition))
                workers, *counts = await pipeline.execute()
        return Standing(
            dead_letters=sum(counts[::2]),
            timers=sum(counts[1::2]),
            workers=workers,
            halted=halted(await primaries(self._client, self._keys), needs_replica=self._needs_replica),
        )
