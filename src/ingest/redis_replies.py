"""Answers that are given again, on Redis: one hash a request, which expires. Keys are described in `keys.py`."""

import hashlib
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec

from events.keys import Keys
from events.redis_border import RedisClient, Script
from ingest.replies import Begun, OtherRequest, Reply, Underway

LEVEL: Final = 1
"""Answers are JSON that names the same things again and again: a tenth is left, at some 100 MB/s."""

_decoder: Final = msgspec.msgpack.Decoder(Reply)


class RedisReplies:
    """Replies that all processes share."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._begin = _ReplyScript("reply_begin.lua")
        self._end = _ReplyScript("reply_end.lua")

    async def begin(
        self, name: str, fingerprint: str, *, token: str, lease_ms: int
    ) -> Begun | Underway | OtherRequest | Reply:
        answer: list[Any] = await self._begin.run(
            self._client, [self._keys.reply(name)], (fingerprint, token, lease_ms)
        )
        match answer:
            case [0]:
                return Begun()
            case [1]:
                return OtherRequest()
            case [2]:
                return Underway()
            case _:
                return _decoder.decode(zlib.decompress(answer[1]))

    async def finish(self, name: str, *, token: str, reply: Reply, kept_ms: int) -> bool:
        packed = zlib.compress(msgspec.msgpack.encode(reply), LEVEL)
        return bool(await self._end.run(self._client, [self._keys.reply(name)], (token, kept_ms, packed)))

    async def forget(self, name: str, *, token: str) -> None:
        await self._end.run(self._client, [self._keys.reply(name)], (token, 0, ""))


class _ReplyScript(Script):
    """A Lua file that lies beside this module."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
