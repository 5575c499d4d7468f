"""The log on Redis Streams. Keys and their fields are described in `keys.py` and `append.lua`.

The server's clock gives entry ids; an append is one script call, so it is in the log wholly or not at all.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster

from events.append_plan import plan_append
from events.codec import decode
from events.envelope import Envelope, Position
from events.epochs import EPOCH_FIRST, SeenEnds
from events.errors import CorruptEvent, EntriesArchived, HistoryArchived, InvalidAppend, InvalidId, VersionGap
from events.ids import TaskId, pack_stream_id, partition_of
from events.inbox import Delivery
from events.keys import Keys
from events.log import EVENTS_PER_STREAM_MAX, Appended, Conflict, Head, Taken, Tally, Unreadable, Write
from events.redis_append import append_call
from events.redis_batching import Batching, Confirmation
from events.redis_border import RedisClient, Script, answered, at_the_border, exchange, execute
from events.redis_entries import next_of, position_of
from events.redis_groups import Shared

GROUP: Final = "mill"
"""The one consumer group of every inbox."""

BLOCK_MS_MAX: Final = 2_000
"""One blocking read; the client waits 3 s longer for the answer, else redis-py takes silence for a broken line."""

HISTORY_PAGE_EVENTS: Final = 1_000
"""Events of one stream read in one call: about 1 ms of server time."""

HISTORIES_MAX: Final = 32
"""Pages of histories that are read in one pipeline: most are a handful of events, but each may be the largest one."""

LAST_ENTRY_ID: Final = f"{2**64 - 1}-{2**64 - 1}"
"""A stream that holds it takes no more entries."""

HISTORY_HEAD: Final = 4
"""Version, versions trimmed away, epoch, last entry trimmed away: what each page of a history begins with."""


class RedisLog:
    """EventLog on Redis. `blocking_client` serves nothing but blocking reads (see `redis_clients.make_clients`)."""

    def __init__(
        self,
        client: RedisClient,
        blocking_client: RedisClient,
        keys: Keys,
        *,
        events_per_stream_max: int = EVENTS_PER_STREAM_MAX,
        confirmation: Confirmation | None = None,
        seen: SeenEnds | None = None,
        writes_by_name: bool = False,
    ) -> None:
        """`seen` is told of what was answered. `writes_by_name`: events are written as older programs read them."""
        self._writes_by_name = writes_by_name
        self._client = client
        self._blocking = blocking_client
        self._keys = keys
        self._events_per_stream_max = events_per_stream_max
        self._shared = tuple(
            Shared(keys.of_append(one), (GROUP, events_per_stream_max)) for one in range(keys.partitions)
        )
        self._seen = seen
        # A node that is down holds up what waits in one batch with its calls: on a cluster a batch is of one slot.
        batches = keys.partitions if isinstance(client, RedisCluster) else 1
        script = Script("append.lua")
        self._appends = tuple(Batching(client, script, confirmation) for _ in range(batches))
        history = Script("history.lua")
        self._histories = tuple(Batching(client, history, calls_max=HISTORIES_MAX) for _ in range(batches))
        self._versions = Script("versions.lua")

    @property
    def partitions(self) -> int:
        return self._keys.partitions

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        plan = plan_append(writes, partitions=self.partitions, acknowledge=acknowledge, by_name=self._writes_by_name)
        keys, arguments, size_bytes = append_call(plan, self._keys, acknowledge)
        batching, shared = self._appends[plan.partition % len(self._appends)], self._shared[plan.partition]
        answer: list[Any] = await batching.run(keys, arguments, shared=shared, size_bytes=size_bytes)
        match answer:
            case [1, int(epoch), int(is_repeat), *entry_ids]:
                positions = tuple([position_of(epoch, entry) for entry in entry_ids])
                if self._seen is not None and positions:
                    self._seen.note(plan.partition, writes, positions)
                return Appended(positions, is_repeat=is_repeat == 1)
            case [2, int(write), int(actual_version)]:
                return Conflict(plan.writes[write - 1].stream_id, actual_version)
            case [4, *taken]:
                planned = list(plan.digests.values())
                return Taken(
                    tuple(planned[at - 1].held_by(holder) for at, holder in zip(taken[::2], taken[1::2], strict=True))
                )
            case _:
                raise InvalidAppend(f"a stream may hold {self._events_per_stream_max} events")

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        found = await self._page(partition, after, limit)
        while not found and (rest_ms := int((deadline - loop.time()) * 1_000)) > 0:
            if await self._arrives(partition, after, min(rest_ms, BLOCK_MS_MAX)):
                found = await self._page(partition, after, limit)
        return found

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        partition = partition_of(stream_id)
        stream, history, quiet = self._keys.of_stream(stream_id)
        keys = (stream, history, self._keys.log(partition), self._keys.meta(partition), quiet)
        packed_id = pack_stream_id(stream_id)
        batching = self._histories[partition % len(self._histories)]
        envelopes: list[Envelope] = []
        while True:
            next_after = after_version + len(envelopes)
            answer: list[Any] = await batching.run(keys, (next_after, HISTORY_PAGE_EVENTS, packed_id))
            version, trimmed, epoch = answer[0], answer[1], int(answer[2] or EPOCH_FIRST)
            if next_after < trimmed:
                raise HistoryArchived(trimmed, answer[3].decode())
            for entry, payload, number in zip(answer[4::3], answer[5::3], answer[6::3], strict=True):
                envelopes.append(next_of(stream_id, after_version + len(envelopes) + 1, epoch, entry, payload, number))
            if after_version + len(envelopes) >= version:
                return envelopes
            if len(answer) == HISTORY_HEAD:
                raise VersionGap(f"the stream stands at {version}, its history ends at {next_after}")

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        by_partition: dict[int, list[str]] = {}
        for stream in stream_ids:
            by_partition.setdefault(partition_of(stream), []).append(stream)
        parts = await asyncio.gather(*map(self._versions_of, by_partition.values()))
        found = {stream: version for part in parts for stream, version in part.items()}
        return [found[stream] for stream in stream_ids]

    async def _versions_of(self, stream_ids: Sequence[str]) -> dict[str, int]:
        """Of streams of one partition."""
        names = [key for stream in stream_ids for key in (self._keys.stream(stream), self._keys.quiet(stream))]
        versions: list[int] = await self._versions.run(self._client, names, tuple(map(pack_stream_id, stream_ids)))
        return dict(zip(stream_ids, versions, strict=True))

    async def tally(self, task_id: TaskId) -> Tally:
        with at_the_border():
            found = await self._client.hmget(self._keys.tally(task_id), ["o", "s", "f", "c", "k"])
        return Tally(*(int(count or 0) for count in found))

    async def head(self, partition: int) -> Head:
        self._check(partition)
        with at_the_border():
            found = await execute(self._client, "HMGET", self._keys.meta(partition), "epoch", "number", "last")
        epoch, number, last = int(found[0] or EPOCH_FIRST), int(found[1] or 0), found[2]
        return Head(epoch, number, position_of(epoch, last) if last else None)

    async def dead_letters(self, partition: int) -> int:
        """How many documents failed and were neither begun again nor removed since; views may lag behind, this not."""
        self._check(partition)
        with at_the_border():
            return int(await execute(self._client, "ZCARD", self._keys.dead(partition)))

    async def _page(self, partition: int, after: Position | None, limit: int) -> list[Envelope | Unreadable]:
        self._check(partition)
        if after is not None and after.entry_id == LAST_ENTRY_ID:
            return []  # XRANGE refuses to look behind it
        first = "-" if after is None else f"({after.entry_id}"
        entries_of = ("XRANGE", self._keys.log(partition), first, "+", "COUNT", limit)
        # After the entries: what was trimmed between the two would be taken for a gap, never the other way.
        state_of = ("HMGET", self._keys.meta(partition), "epoch", "trimmed_at")
        with at_the_border():
            entries, (epoch, trimmed_at) = answered(await exchange(self._client, (entries_of, state_of)))
        if trimmed_at and (after is None or after < position_of(after.epoch, trimmed_at)):
            raise EntriesArchived(trimmed_at.decode())
        epoch_now = int(epoch or EPOCH_FIRST)
        return [_read_entry(epoch_now, entry_id, fields or ()) for entry_id, fields in entries]

    async def _arrives(self, partition: int, after: Position | None, block_ms: int) -> bool:
        """Whether anything comes to lie behind a place within that time."""
        log, entry_id = self._keys.log(partition), "0-0" if after is None else after.entry_id
        with at_the_border():
            blocking = ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", log, entry_id)
            return bool(await execute(self._blocking, *blocking, near=log))

    def _check(self, partition: int) -> None:
        if not 0 <= partition < self.partitions:
            raise InvalidId(f"there is no partition {partition}, there are {self.partitions}")


def _read_entry(epoch: int, entry_id: bytes, fields: Sequence[bytes]) -> Envelope | Unreadable:
    position = position_of(epoch, entry_id)
    if len(fields) == 4 and fields[0] == b"e" and fields[2] == b"n":  # as append.lua writes it
        _, payload, _, number = fields
    else:
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        payload, number = named.get(b"e", b""), named.get(b"n", b"")
    try:
        return decode(payload, position=position, number=int(number))
    except (CorruptEvent, ValueError) as error:
        return Unreadable(position, int(number) if number.isdigit() else 0, payload, str(error))
