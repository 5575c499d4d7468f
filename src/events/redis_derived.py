"""What follows from the log, made anew on Redis. Keys are described in `keys.py`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from events.derived import ClaimsAt, DeadLetterChange, Errand, Owed, TalliesAt, errand_of
from events.digests import Claims, DigestKey
from events.errors import CorruptEvent
from events.ids import PACKED_BYTES, KnowledgeBaseId, TaskId, pack_stream_id
from events.keys import Keys
from events.log import Tally
from events.pointer import INBOX_CODES, inbox_of_timer, pack_pointer, pack_timer, unpack_pointer
from events.redis_border import RedisClient, Script, at_the_border, execute
from events.redis_wire import Argument
from events.steps import Step

PAGE_ENTRIES: Final = 1_000
"""Entries of an inbox or timers read in one call: about 1 ms of server time."""

TALLY_FIELDS: Final = ("o", "s", "f", "c", "k")


class RedisDerived:
    """DerivedStore on Redis."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._owe = Script("owe.lua")
        self._set_tallies = Script("set_tallies.lua")
        self._set_claims = Script("set_claims.lua")

    async def errands(self, partition: int) -> set[Errand]:
        """Timers first: what moves from there into an inbox meanwhile is found in the inbox."""
        found: set[Errand] = set()
        async for step, packed in self._pointers(partition):
            try:
                found.add(errand_of(step, unpack_pointer(packed)))
            except CorruptEvent:
                continue  # whoever takes it drops it
        return found

    async def put(self, partition: int, owed: Sequence[Owed]) -> list[bool]:
        names, arguments = list[str](), list[Argument]()
        for one in owed:
            pointer = pack_pointer(one.pointer)
            names += (*self._guard(one.guard), self._keys.inbox(partition, one.step, one.lane))
            arguments += (pack_stream_id(one.guard), one.guard_version)
            if one.due_at_ms is None:
                arguments += ("i", "", pointer)
            else:
                arguments += ("t", one.due_at_ms, pack_timer(one.step, one.lane, pointer))
        return await self._guarded(partition, names, arguments)

    async def dead_letters(self, partition: int) -> dict[str, int]:
        with at_the_border():
            found: Any = await execute(self._client, "ZRANGE", self._keys.dead(partition), 0, -1, "WITHSCORES")
        return {stream.decode(): int(failed_at_ms) for stream, failed_at_ms in found}

    async def change_dead_letters(self, partition: int, changes: Sequence[DeadLetterChange]) -> list[bool]:
        names, arguments = list[str](), list[Argument]()
        for one in changes:
            names += (*self._guard(one.stream_id), self._keys.due(partition))  # the last is not looked at
            kind, time = ("r", "") if one.failed_at_ms is None else ("d", str(one.failed_at_ms))
            arguments += (pack_stream_id(one.stream_id), one.version, kind, time, one.stream_id)
        return await self._guarded(partition, names, arguments)

    async def tallies(self, partition: int, tasks: Sequence[TaskId]) -> TalliesAt:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hget(self._keys.meta(partition), "number")
                for task in tasks:
                    pipeline.hmget(self._keys.tally(task), list(TALLY_FIELDS))
                number, *found = await pipeline.execute()
        return TalliesAt(int(number or 0), tuple(map(_tally, found)))

    async def set_tallies(self, partition: int, number: int, tallies: Mapping[TaskId, Tally]) -> bool:
        names = [self._keys.meta(partition), *map(self._keys.tally, tallies)]
        counts = [count for tally in tallies.values() for count in msgspec.structs.astuple(tally)]
        return bool(await self._set_tallies.run(self._client, names, (number, *counts)))

    async def digests(self, knowledge_base: KnowledgeBaseId) -> dict[bytes, Claims]:
        found: dict[bytes, Claims] = {}
        key, cursor = self._keys.digests(knowledge_base), 0
        part: Any
        with at_the_border():
            while True:
                cursor, part = await self._client.hscan(key, cursor, count=PAGE_ENTRIES)
                found.update((digest, _claims(packed)) for digest, packed in part.items())
                if cursor == 0:
                    return found

    async def claims(self, partition: int, digests: Sequence[DigestKey]) -> ClaimsAt:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hget(self._keys.meta(partition), "number")
                for key in digests:
                    pipeline.execute_command("HGET", self._keys.digests(key.knowledge_base_id), key.digest)
                number, *found = await pipeline.execute()
        return ClaimsAt(int(number or 0), tuple(map(_claims, found)))

    async def set_claims(self, partition: int, number: int, claims: Mapping[DigestKey, Claims]) -> bool:
        names = [self._keys.meta(partition), *(self._keys.digests(key.knowledge_base_id) for key in claims)]
        arguments = [part for key, right in claims.items() for part in (key.digest, b"".join(right))]
        return bool(await self._set_claims.run(self._client, names, (number, *arguments)))

    async def _guarded(self, partition: int, names: list[str], arguments: list[Argument]) -> list[bool]:
        if not names:
            return []
        keys = [self._keys.due(partition), self._keys.dead(partition), *names]
        return [bool(one) for one in await self._owe.run(self._client, keys, arguments)]

    def _guard(self, stream_id: str) -> tuple[str, str]:
        """Where the version of a stream is kept: in one of these."""
        return self._keys.stream(stream_id), self._keys.quiet(stream_id)

    async def _pointers(self, partition: int) -> AsyncIterator[tuple[Step, bytes]]:
        with at_the_border():
            async for timer, _ in self._client.zscan_iter(self._keys.due(partition), count=PAGE_ENTRIES):
                if timer and timer[0] in INBOX_CODES.values():
                    yield inbox_of_timer(timer)[0], timer[1:]
            for step, lane in INBOX_CODES:
                async for packed in self._entries(self._keys.inbox(partition, step, lane)):
                    yield step, packed

    async def _entries(self, inbox: str) -> AsyncIterator[bytes]:
        after = "-"
        while True:
            page = await execute(self._client, "XRANGE", inbox, after, "+", "COUNT", PAGE_ENTRIES)
            for _, fields in page:
                yield (fields or {}).get(b"p", b"")
            if len(page) < PAGE_ENTRIES:
                return
            after = f"({page[-1][0].decode()}"


def _tally(fields: Sequence[bytes | None]) -> Tally | None:
    return None if fields[0] is None else Tally(*(int(count or 0) for count in fields))


def _claims(packed: bytes | None) -> Claims:
    if packed is not None and len(packed) == PACKED_BYTES:
        return (packed,)  # of nearly all
    return tuple((packed or b"")[at : at + PACKED_BYTES] for at in range(0, len(packed or b""), PACKED_BYTES))
