"""Turns of work that one process at a time shall do: a lease that is renewed, and pauses between two runs.

Keys are described in `keys.py` (`upkeep`). A lease that ends early costs work that is done twice, nothing else.
"""

from typing import Final

from events.keys import Keys
from events.redis_border import RedisClient, Script, at_the_border

LEASE: Final = "lease"


class RedisTurns:
    """`holder` is unique to the process, `lease` names the work."""

    def __init__(self, client: RedisClient, keys: Keys, *, holder: str, lease: str = LEASE) -> None:
        self._client = client
        self._keys = keys
        self._holder = holder
        self._key = keys.upkeep(lease)
        self._lease = Script("turn.lua")

    async def take(self, *, ttl_ms: int) -> bool:
        """Takes the lease, or renews it; False while somebody else has it. Raises LogUnavailable."""
        return bool(await self._run("take", ttl_ms))

    async def give_back(self) -> None:
        """Ends the lease, if it is ours. Raises LogUnavailable."""
        await self._run("give", 0)

    async def is_done(self, name: str) -> bool:
        """Whether somebody said so, not too long ago. Raises LogUnavailable."""
        with at_the_border():
            return bool(await self._client.exists(self._keys.upkeep(name)))

    async def done(self, name: str, *, for_ms: int) -> None:
        """Says for that long that it need not be done again. Raises LogUnavailable, LogFull."""
        with at_the_border():
            await self._client.set(self._keys.upkeep(name), self._holder, px=for_ms)

    async def _run(self, deed: str, ttl_ms: int) -> int:
        done: int = await self._lease.run(self._client, [self._key], (deed, self._holder, ttl_ms))
        return done
