"""The archive's marks and manifest on Redis, and the only writer that takes facts out of the log."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from events.archive import (
    DIGEST_OF_NOTHING,
    ArchiveState,
    Floor,
    LogEntry,
    Mark,
    SegmentEntry,
    StreamVersion,
    Verification,
)
from events.codec import stream_version_of
from events.envelope import Position
from events.epochs import EPOCH_FIRST
from events.errors import ArchiveRefused, CorruptEvent
from events.ids import pack_stream_id
from events.keys import Keys
from events.log import Head
from events.pointer import INBOX_CODES, unpack_pointer
from events.redis_border import RedisClient, Script, at_the_border, execute
from events.redis_wire import Argument

TRIM_ENTRIES_MAX: Final = 2_000
"""Entries a call: with their histories 5 ms of server time, of 50,000 that a bare XTRIM could take."""

POSITIONS_A_CALL: Final = 500
"""About 1 ms of server time."""

NOT_ARCHIVED: Final = -1
NOT_PROJECTED: Final = -2
HISTORY_DIFFERS: Final = -3

_manifest_decoder = msgspec.msgpack.Decoder(SegmentEntry)
_verification_decoder = msgspec.msgpack.Decoder(Verification)


class RedisArchive:
    """ArchiveStore on Redis. Keys are described in `keys.py` and at the head of each script."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._advance = Script("advance.lua")
        self._trim = Script("trim.lua")
        self._positions = Script("positions.lua")
        self._hold = Script("hold.lua")

    @property
    def partitions(self) -> int:
        return self._keys.partitions

    async def installation(self) -> str:
        with at_the_border():
            found = await execute(self._client, "HGET", self._keys.installation, "id")
        return (found or b"").decode()

    async def hold(self, partition: int, *, holder: str, lease_ms: int) -> bool:
        return bool(await self._hold.run(self._client, [self._keys.archiver(partition)], (holder, lease_ms)))

    async def let_go(self, partition: int, *, holder: str) -> None:
        await self._hold.run(self._client, [self._keys.archiver(partition)], (holder, 0))

    async def state(self, partition: int) -> ArchiveState:
        names = ("archived", "archived_at", "digest", "trimmed", "epoch", "number", "last", "asked")
        meta = self._keys.meta(partition)
        with at_the_border():
            # The clock first, as what is younger than it says is kept for longer, never for less.
            seconds, us = await execute(self._client, "TIME", near=meta)
            found = await execute(self._client, "HMGET", meta, *names)
        archived, archived_at, digest, trimmed, epoch, number, last, asked = found
        at = int(epoch or EPOCH_FIRST)
        return ArchiveState(
            mark=Mark(
                int(archived or 0),
                Position.parse(archived_at.decode()) if archived_at else None,
                digest.decode() if digest else DIGEST_OF_NOTHING,
            ),
            trimmed_number=int(trimmed or 0),
            head=Head(at, int(number or 0), _position(at, last)),
            now_ms=int(seconds) * 1_000 + int(us) // 1_000,
            asked_number=int(asked or 0),
        )

    async def ask(self, partition: int) -> ArchiveState:
        state = await self.state(partition)
        with at_the_border():
            await execute(self._client, "HSET", self._keys.meta(partition), "asked", state.head.number)
        return state

    async def note(self, partition: int, found: Verification) -> None:
        with at_the_border():
            await execute(self._client, "HSET", self._keys.meta(partition), "verified", msgspec.msgpack.encode(found))

    async def verified(self, partition: int) -> Verification | None:
        with at_the_border():
            found = await execute(self._client, "HGET", self._keys.meta(partition), "verified")
        return None if found is None else _verification_decoder.decode(found)

    async def entries(self, partition: int, *, after: Position | None, limit: int) -> list[LogEntry]:
        first = "-" if after is None else f"({after.entry_id}"
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hget(self._keys.meta(partition), "epoch")
                pipeline.execute_command("XRANGE", self._keys.log(partition), first, "+", "COUNT", limit)
                epoch, entries = await pipeline.execute()
        return [_log_entry(int(epoch or EPOCH_FIRST), entry, fields or {}) for entry, fields in entries]

    async def positions(self, events: Sequence[StreamVersion]) -> list[Position | None]:
        found: list[Position | None] = []
        for start in range(0, len(events), POSITIONS_A_CALL):
            part = events[start : start + POSITIONS_A_CALL]
            names = [name for event in part for name in self._stream_keys(event.stream_id)]
            arguments = [value for event in part for value in (pack_stream_id(event.stream_id), event.version)]
            answer = await self._positions.run(self._client, names, arguments)
            found += (_position(EPOCH_FIRST, entry) for entry in answer)
        return found

    async def segments(self, partition: int) -> list[SegmentEntry]:
        with at_the_border():
            lines = await execute(self._client, "ZRANGE", self._keys.segments(partition), 0, -1)
        return [_manifest_decoder.decode(line) for line in lines]

    async def advance(self, partition: int, before: Mark, segment: SegmentEntry) -> bool:
        arguments = (
            *(before.number, before.digest, segment.first_number, msgspec.msgpack.encode(segment)),
            *(segment.last_number, str(segment.last), segment.digest),
        )
        keys = [self._keys.meta(partition), self._keys.segments(partition)]
        return bool(await self._advance.run(self._client, keys, arguments))

    async def floor(self, partition: int, *, retention_ms: int) -> Floor:
        state = await self.state(partition)
        before, held_by = Position(EPOCH_FIRST, state.now_ms - retention_ms, 0), "retention"
        for inbox, place in await self._oldest_in_inboxes(partition):
            if (place.ms, place.sequence) < (before.ms, before.sequence):
                before, held_by = place, inbox
        projected = await self._projected(partition, state.now_ms)
        return Floor(
            number=min(state.mark.number, projected),
            before=before,
            held_by="views" if projected < state.mark.number else held_by,
        )

    async def trim(self, partition: int, floor: Floor, *, limit: int) -> int:
        oldest = await self.entries(partition, after=None, limit=min(limit, TRIM_ENTRIES_MAX))
        top = (floor.before.ms, floor.before.sequence)
        gone = [one for one in oldest if one.number <= floor.number and (one.position.ms, one.position.sequence) < top]
        if not gone:
            return 0
        last = gone[-1]
        streams = _own(gone)
        names = [self._keys.log(partition), self._keys.meta(partition)]
        arguments: list[Argument] = [
            *(gone[0].position.entry_id, last.position.entry_id, f"{last.position.ms}-{last.position.sequence + 1}"),
            *(last.number, self._keys.checkpoint_prefix(partition)),
        ]
        for stream, (count, entry_id) in streams.items():
            names += self._stream_keys(stream)
            arguments += (pack_stream_id(stream), count, entry_id)
        answer: int = await self._trim.run(self._client, names, arguments)
        match answer:
            case 1:
                return len(gone)
            case 0 | -1 | -2:
                return 0
            case _:
                stream = list(streams)[HISTORY_DIFFERS - answer]
                raise ArchiveRefused(f"the history of {stream} does not begin with what the log begins with")

    async def _oldest_in_inboxes(self, partition: int) -> list[tuple[str, Position]]:
        """For each inbox that holds something: where the event lies that its oldest entry points to.

        What a timer moved in points further back than its place tells; such a history is read from the archive.
        """
        names = [self._keys.inbox(partition, step, lane) for step, lane in INBOX_CODES]
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.execute_command("XRANGE", name, "-", "+", "COUNT", 1)
                answers: list[Any] = await pipeline.execute()
        entries = [(inbox, *answer[0]) for inbox, answer in zip(INBOX_CODES, answers, strict=True) if answer]
        wanted = [_pointed_at(fields) for _, _, fields in entries]
        known = [one for one in wanted if one is not None]
        places = dict(zip(known, await self.positions(known), strict=True))
        found = []
        for ((step, lane), entry_id, _), event in zip(entries, wanted, strict=True):
            place = (places[event] if event is not None else None) or _place(EPOCH_FIRST, entry_id)
            found.append((f"inbox {step.value}:{lane.value}", place))
        return found

    async def _projected(self, partition: int, now_ms: int) -> int:
        """How far the live views are, and those that somebody builds beside them."""
        with at_the_border():
            live = int(await execute(self._client, "HGET", self._keys.meta(partition), "generation") or 1)
            async with self._client.pipeline(transaction=False) as pipeline:
                for generation in (live, live + 1):
                    pipeline.hmget(self._keys.checkpoint(partition, generation), ["number", "holder", "until"])
                shown, built = await pipeline.execute()
        number = int(shown[0] or 0)
        is_being_built = bool(built[1]) and int(built[2] or 0) > now_ms
        return min(number, int(built[0] or 0)) if is_being_built else number

    def _stream_keys(self, stream_id: str) -> tuple[str, str, str]:
        return self._keys.stream(stream_id), self._keys.history(stream_id), self._keys.quiet(stream_id)


def _own(entries: Iterable[LogEntry]) -> dict[str, tuple[int, str]]:
    """By stream: how many of the entries are its own, and the last of them; entries of no stream are left out."""
    owned: dict[str, tuple[int, str]] = {}
    for entry in entries:
        try:
            stream, _ = stream_version_of(entry.payload)
        except CorruptEvent:
            continue
        owned[stream] = (owned.get(stream, (0, ""))[0] + 1, entry.position.entry_id)
    return owned


def _pointed_at(fields: dict[bytes, bytes] | None) -> StreamVersion | None:
    try:
        pointer = unpack_pointer((fields or {}).get(b"p", b""))
    except CorruptEvent:
        return None
    return StreamVersion(pointer.stream_id, pointer.version)


def _log_entry(epoch: int, entry_id: bytes, fields: dict[bytes, bytes]) -> LogEntry:
    number = fields.get(b"n", b"")
    return LogEntry(_place(epoch, entry_id), int(number) if number.isdigit() else 0, fields.get(b"e", b""))


def _position(epoch: int, entry_id: bytes | None) -> Position | None:
    return _place(epoch, entry_id) if entry_id else None


def _place(epoch: int, entry_id: bytes) -> Position:
    ms, _, sequence = entry_id.partition(b"-")
    return Position(epoch, int(ms), int(sequence))
