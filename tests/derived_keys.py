"""Deletes what follows from the log, as an operator's mistake or a damaged Redis would."""

from events.keys import Keys
from events.redis_border import RedisClient

DERIVED = ("inbox:*", "due", "dead", "tally:*", "digests:*")
VIEWS = ("views:*", "checkpoint:*", "changes")


async def delete_derived_keys(client: RedisClient, partitions: int, *, with_views: bool = False) -> int:
    """Answers how many keys there were."""
    deleted = 0
    for partition in range(partitions):
        prefix = Keys(partitions).log(partition).removesuffix("log")
        for pattern in (*DERIVED, *(VIEWS if with_views else ())):
            found = [key async for key in client.scan_iter(match=prefix + pattern, count=1_000)]
            if found:
                deleted += int(await client.delete(*found))
    return deleted
