"""An index in a bucket: who compares commits to it, and the newest version of each table where that is Redis.

Keys are described in `keys.py` (`index_comparers`, `index_version`).
"""

from events.keys import Keys
from events.redis_border import RedisClient, Script, at_the_border


class RedisIndexVersions:
    """A version is a number and the name of a manifest that is staged for it, empty once that lies at its place."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._replace = Script("index_version.lua")

    async def comparer(self, place: str) -> str | None:
        """Who compares, by what the first process found out; None where none has. Raises LogUnavailable."""
        with at_the_border():
            found = await self._client.hget(self._keys.index_comparers, place)
        return found.decode() if isinstance(found, bytes) else None

    async def agree(self, place: str, comparer: str, *, overrules: bool = False) -> str:
        """Notes who compares unless somebody has, and answers what is noted. Raises LogUnavailable, LogFull."""
        with at_the_border():
            if overrules:
                await self._client.hset(self._keys.index_comparers, place, comparer)
            else:
                await self._client.hsetnx(self._keys.index_comparers, place, comparer)
        return await self.comparer(place) or comparer

    async def newest(self, table: str) -> tuple[int, str] | None:
        """None where nothing is known of the table. Raises LogUnavailable."""
        with at_the_border():
            version, staged = await self._client.hmget(self._keys.index_version(table), ["version", "staged"])
        return (int(version), staged.decode()) if isinstance(version, bytes) and isinstance(staged, bytes) else None

    async def replace(self, table: str, seen: tuple[int, str] | None, entry: tuple[int, str] | None) -> bool:
        """False where what was seen is no longer there. None is nothing. Raises LogUnavailable, LogFull."""
        arguments = [*_arguments(seen), *_arguments(entry)]
        return bool(await self._replace.run(self._client, [self._keys.index_version(table)], arguments))


def _arguments(entry: tuple[int, str] | None) -> tuple[str, str]:
    return ("", "") if entry is None else (str(entry[0]), entry[1])
