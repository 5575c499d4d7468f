"""Records of leases on Redis: a hash a lease, in the slot of the partition that its document is of."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from events.keys import Keys
from events.redis_border import RedisClient, Script, at_the_border, execute
from processors.lease_records import Found, LeaseRecord, partition_of_token
from processors.verdicts import Lost, Verdict

_records: Final = msgspec.msgpack.Decoder(LeaseRecord)
_verdicts: Final = msgspec.msgpack.Decoder(Verdict)


class RedisLeaseRecords:
    """LeaseRecords that all processes share."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._script = _LeaseScript("lease.lua")

    async def keep(self, token: str, record: LeaseRecord, *, for_ms: int) -> bool:
        return await self._run(token, "keep", for_ms, msgspec.msgpack.encode(record))

    async def renew(self, token: str, *, for_ms: int) -> bool:
        return await self._run(token, "renew", for_ms)

    async def find(self, token: str) -> Found | None:
        if (key := self._key(token)) is None:
            return None
        with at_the_border():
            record, verdict, followed = await execute(self._client, "HMGET", key, "r", "v", "g")
        if record is None:
            return None
        told = None if verdict is None else _verdicts.decode(verdict)
        return Found(_records.decode(record), told, is_followed=followed is not None)

    async def left_ms(self, token: str) -> int:
        if (key := self._key(token)) is None:
            return 0
        with at_the_border():
            left_ms: int = await execute(self._client, "PTTL", key)
        return max(0, left_ms)

    async def take(self, token: str, record: LeaseRecord, *, by: str, for_ms: int, right_ms: int) -> bool:
        return await self._run(token, "take", for_ms, msgspec.msgpack.encode(record), by, right_ms)

    async def settle(self, token: str, record: LeaseRecord, verdict: Verdict, *, by: str, kept_ms: int) -> None:
        told = b"" if isinstance(verdict, Lost) else msgspec.msgpack.encode(verdict)
        await self._run(token, "settle", kept_ms, msgspec.msgpack.encode(record), by, told)

    async def follow(self, token: str) -> bool:
        return await self._run(token, "follow", 0)

    async def _run(self, token: str, deed: str, ms: int, *more: str | bytes | int) -> bool:
        if (key := self._key(token)) is None:
            return False
        return bool(await self._script.run(self._client, [key], (deed, ms, *more)))

    def _key(self, token: str) -> str | None:
        partition = partition_of_token(token)
        if partition is None or partition >= self._keys.partitions:
            return None
        return self._keys.worker_lease(partition, token)


class _LeaseScript(Script):
    """A Lua file that lies beside this module."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
