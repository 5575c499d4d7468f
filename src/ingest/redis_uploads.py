"""The registry of resumable uploads on Redis: one hash and one list for each, changed by scripts that compare.

Keys and fields are described in `keys.py`. An upload's keys share a slot of their own, and the lists of what is due and
of whose they are another: on a cluster no call needs two.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from events.keys import Keys
from events.redis_border import RedisClient, Script, at_the_border
from events.redis_wire import Argument
from ingest.upload_registry import NewUpload, Outcome, Piece, Upload

GONE_KEPT_US: Final = 86_400_000_000
"""How long one that has expired is told apart from one that never was."""

FIELDS: Final = ("about", "length", "offset", "fence", "pieces", "expires", "outcome")
"""What the scripts answer with, in this order."""

_about: Final = msgspec.json.Decoder(NewUpload)
_outcome: Final = msgspec.json.Decoder(Outcome)


class RedisUploads:
    """UploadRegistry that all processes share."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._admit = _UploadScript("upload_admit.lua")
        self._create = _UploadScript("upload_create.lua")
        self._take = _UploadScript("upload_take.lua")
        self._record = _UploadScript("upload_record.lua")
        self._finish = _UploadScript("upload_finish.lua")
        self._end = _UploadScript("upload_end.lua")

    async def create(self, new: NewUpload, *, expires_us: int, now_us: int, open_max: int) -> Upload | None:
        if found := await self.get(new.upload_id):
            return found
        lists = [self._keys.uploads_due(), self._keys.uploads_of(new.actor)]
        kept_until_ms = _ms(expires_us + GONE_KEPT_US)
        if not await self._admit.run(self._client, lists, (new.upload_id, expires_us, now_us, open_max, kept_until_ms)):
            return None
        length = "" if new.length is None else new.length
        asked: Sequence[Argument] = (msgspec.json.encode(new), new.kind.value, length, expires_us, kept_until_ms)
        return _upload(await self._create.run(self._client, [self._keys.upload(new.upload_id)], asked))

    async def get(self, upload_id: str) -> Upload | None:
        with at_the_border():
            found = await self._client.hmget(self._keys.upload(upload_id), list(FIELDS))
        return _upload(found)

    async def take(self, upload_id: str, *, offset: int, length: int | None = None) -> Upload | None:
        asked = (offset, "" if length is None else length)
        return _upload(await self._take.run(self._client, self._both(upload_id), asked))

    async def record(self, upload_id: str, fence: int, pieces: Sequence[Piece], *, expires_us: int) -> bool:
        first, last = pieces[0], pieces[-1]
        ends = (first.offset, last.offset + last.size_bytes)
        asked: Sequence[Argument] = (fence, *ends, expires_us, _ms(expires_us + GONE_KEPT_US), *map(_packed, pieces))
        return bool(await self._record.run(self._client, self._both(upload_id), asked))

    async def pieces(self, upload_id: str) -> tuple[Piece, ...]:
        with at_the_border():
            found = await self._client.lrange(self._keys.upload_pieces(upload_id), 0, -1)
        return tuple(map(_unpacked, found))

    async def begin_finish(self, upload_id: str, holder: str, *, now_us: int, until_us: int) -> bool:
        return bool(await self._finish.run(self._client, [self._keys.upload(upload_id)], (holder, now_us, until_us)))

    async def stop_finish(self, upload_id: str) -> None:
        with at_the_border():
            await self._client.hdel(self._keys.upload(upload_id), "finishing")

    async def end(self, upload_id: str, outcome: Outcome, *, kept_until_us: int) -> Upload | None:
        return _upload(
            await self._end.run(self._client, self._both(upload_id), (msgspec.json.encode(outcome), _ms(kept_until_us)))
        )

    async def remove(self, upload_id: str) -> bool:
        with at_the_border():
            return bool(await self._client.delete(*self._both(upload_id)))

    async def look_at(self, upload_id: str, actor: str, at_us: int) -> None:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as together:
                together.zadd(self._keys.uploads_due(), {upload_id: at_us})
                together.zadd(self._keys.uploads_of(actor), {upload_id: at_us})
                together.pexpireat(self._keys.uploads_of(actor), _ms(at_us + GONE_KEPT_US))
                await together.execute()

    async def due(self, now_us: int, count: int) -> tuple[str, ...]:
        with at_the_border():
            found: Any = await self._client.zrange(
                self._keys.uploads_due(), "-inf", str(now_us), byscore=True, offset=0, num=count
            )
        return tuple(one.decode() for one in found)

    async def forget(self, upload_id: str, actor: str | None) -> None:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as together:
                together.zrem(self._keys.uploads_due(), upload_id)
                if actor is not None:
                    together.zrem(self._keys.uploads_of(actor), upload_id)
                await together.execute()

    def _both(self, upload_id: str) -> list[str]:
        return [self._keys.upload(upload_id), self._keys.upload_pieces(upload_id)]


class _UploadScript(Script):
    """A Lua file that lies beside this module."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _upload(found: Sequence[Any] | None) -> Upload | None:
    if not found or found[0] is None:
        return None
    about, length, offset, fence, pieces, expires_us, outcome = found
    return Upload(
        about=_about.decode(about),
        length=int(length) if length else None,
        offset=int(offset),
        fence=int(fence),
        pieces=int(pieces),
        expires_us=int(expires_us),
        outcome=_outcome.decode(outcome) if outcome else None,
    )


def _packed(piece: Piece) -> str:
    return f"{piece.offset} {piece.size_bytes} {piece.key}"


def _unpacked(packed: Any) -> Piece:
    offset, size_bytes, key = packed.decode().split(" ", 2)
    return Piece(int(offset), int(size_bytes), key)


def _ms(unix_us: int) -> int:
    return unix_us // 1_000
