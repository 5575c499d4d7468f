"""Epochs on Redis. Keys are described in `keys.py` and at the head of the script."""

from events.envelope import Position
from events.keys import Keys
from events.redis_border import RedisClient, Script


class RedisEpochs:
    """Epochs beside a RedisLog."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._raise = Script("raise_epoch.lua")

    async def raise_epoch(self, partition: int, seen: Position) -> bool:
        keys = [self._keys.meta(partition), self._keys.log(partition), self._keys.changes(partition)]
        _, is_begun = await self._raise.run(self._client, keys, (seen.epoch, seen.entry_id))
        return bool(is_begun)
