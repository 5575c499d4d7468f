"""The views on Redis. Keys and their fields are described in `events/keys.py` and at the head of each script.

A generation is made of `rows:<table>` (hash), `index:<list>` (zset), `indexes` (set: the names of its lists) and, for
long lists, of the leaves that `leaves.lua` describes.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from events.envelope import Position
from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from events.redis_wire import Argument
from projections.errors import GenerationIsLive
from projections.feed import FEED_BYTES_MAX, encode_changes
from projections.projection import MEMBER_TIME_DIGITS, TABLES, RowKey, Table
from projections.redis_script import ViewScript
from projections.views import (
    PAGE_ROWS_MAX,
    Checkpoint,
    Commit,
    IndexedRow,
    Lease,
    LeaseHeld,
    NotLive,
    Page,
)

SCAN_COUNT: Final = 1_000
GENERATION_READS_MAX: Final = 8
"""How often a read begins again because the generation changed under it; rebuilds are hours apart."""

MEMBERS_AT_ONCE: Final = 4_000
"""Of a list that is read whole: about 10 ms of server time."""

LEAVED: Final = "leaved"
"""Hash of the lists that have leaves."""

LEAVES: Final = ("leaves.lua",)

ABSENT: Final = "absent"
"""A key that is never there, declared by each script that makes names of leaves itself: while a slot moves to another
server of a cluster its keys lie on two, and one that lies elsewhere looks like one without members. A call that
declares a key which is not there is refused meanwhile (TRYAGAIN), before it has written anything."""

CHECKPOINT_FIELDS: Final = ("position", "number", "unreadable", "unknown", "refused", "retired")


class RedisViews:
    """ViewStore on Redis. Without `makes_leaves` lists stay as releases from before read them, but for what lies in
    leaves already."""

    def __init__(
        self, client: RedisClient, keys: Keys, *, feed_bytes_max: int = FEED_BYTES_MAX, makes_leaves: bool = True
    ) -> None:
        self._client = client
        self._keys = keys
        self._feed_bytes_max = feed_bytes_max
        self._makes_leaves = makes_leaves
        self._live = dict.fromkeys(range(keys.partitions), 1)
        self._commit = ViewScript("commit.lua", behind=(*LEAVES, "leaf_changes.lua"))
        self._acquire = ViewScript("acquire.lua")
        self._release = ViewScript("release.lua")
        self._swap = ViewScript("swap.lua")
        self._drop = ViewScript("drop.lua", behind=LEAVES)
        self._page = ViewScript("page.lua", behind=LEAVES)
        self._members = ViewScript("members.lua", behind=LEAVES)
        self._rows = ViewScript("rows.lua")

    @property
    def partitions(self) -> int:
        return self._keys.partitions

    async def live_generation(self, partition: int) -> int:
        with at_the_border():
            self._live[partition] = int(await self._client.hget(self._keys.meta(partition), "generation") or 1)
        return self._live[partition]

    async def checkpoint(self, partition: int, generation: int | None = None) -> Checkpoint:
        wanted = await self.live_generation(partition) if generation is None else generation
        with at_the_border():
            found: Any = await self._client.hmget(self._keys.checkpoint(partition, wanted), list(CHECKPOINT_FIELDS))
        return _checkpoint(found)

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(ids), PAGE_ROWS_MAX):
            part = ids[start : start + PAGE_ROWS_MAX]
            found += await self._of_live(self._rows, partition, [_table_name(table)], part)
        return found

    async def page(
        self,
        partition: int,
        index: str,
        table: Table,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        floor: str | None = None,
    ) -> Page:
        names = [_index_name(index), _table_name(table), LEAVED, ABSENT]
        arguments = (after or "", limit, int(newest_first), MEMBER_TIME_DIGITS + 1, floor or "", index)
        total, *found = await self._of_live(self._page, partition, names, arguments, prefixed=True)
        rows = zip(found[::2], found[1::2], strict=True)
        return Page(tuple(IndexedRow(member.decode(), payload) for member, payload in rows), total)

    async def acquire(
        self,
        partition: int,
        generation: int,
        *,
        holder: str,
        lease_ms: int,
        build: bool = False,
        seize: bool = False,
        renews: int | None = None,
    ) -> Lease | LeaseHeld | NotLive:
        leaved = self._keys.view(partition, generation, LEAVED)
        keys = [self._keys.meta(partition), self._keys.checkpoint(partition, generation), leaved]
        answer: list[Any] = await self._acquire.run(
            self._client, keys, (generation, holder, lease_ms, int(build), int(seize), renews or 0)
        )
        match answer:
            case [0, int(live)]:
                return NotLive(live)
            case [2, int(left_ms)]:
                return LeaseHeld(left_ms)
            case [_, token, is_by_older, *fields]:
                return Lease(
                    partition=partition,
                    generation=generation,
                    token=int(token),
                    checkpoint=_checkpoint(fields),
                    is_by_older=bool(is_by_older),
                )
            case _:
                raise TypeError("acquire.lua answers a list")

    async def release(self, lease: Lease) -> None:
        await self._release.run(self._client, [self._checkpoint_key(lease)], (lease.token,))

    async def load(self, lease: Lease, keys: Sequence[RowKey]) -> list[bytes | None]:
        by_table: dict[Table, list[str]] = {}
        for key in keys:
            by_table.setdefault(key.table, []).append(key.id)
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                for table, ids in by_table.items():
                    pipeline.hmget(self._keys.view(lease.partition, lease.generation, _table_name(table)), ids)
                answers = await pipeline.execute()
        found = {
            RowKey(table, row_id): payload
            for (table, ids), payloads in zip(by_table.items(), answers, strict=True)
            for row_id, payload in zip(ids, payloads, strict=True)
        }
        return [found[key] for key in keys]

    async def commit(self, commit: Commit) -> bool:
        keys, arguments = self._commit_call(commit)
        return bool(await self._commit.run(self._client, keys, arguments))

    async def swap(self, live: Lease, built: Lease) -> bool:
        keys = [self._keys.meta(live.partition), self._checkpoint_key(live), self._checkpoint_key(built)]
        arguments = (live.generation, live.token, built.generation, built.token)
        return bool(await self._swap.run(self._client, keys, arguments))

    async def drop(self, partition: int, generation: int, *, limit: int) -> bool:
        tables = [self._keys.view(partition, generation, name) for name in (*map(_table_name, TABLES), ABSENT)]
        names = [self._keys.view(partition, generation, name) for name in ("indexes", LEAVED)]
        keys = [self._keys.meta(partition), self._keys.checkpoint(partition, generation), *names, *tables]
        prefix = self._keys.view(partition, generation, "")
        left = await self._drop.run(self._client, keys, (generation, limit, prefix))
        if left == -1:
            raise GenerationIsLive("the live generation cannot be dropped")
        return bool(left)

    async def scan_rows(self, partition: int, generation: int, table: Table) -> AsyncIterator[tuple[str, bytes]]:
        key = self._keys.view(partition, generation, _table_name(table))
        with at_the_border():
            async for row_id, payload in self._client.hscan_iter(key, count=SCAN_COUNT):
                yield row_id.decode(), payload

    async def scan_indexes(self, partition: int, generation: int) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
        names: AsyncIterator[Any] = self._client.sscan_iter(
            self._keys.view(partition, generation, "indexes"), count=SCAN_COUNT
        )
        with at_the_border():
            async for name in names:
                members = await self.members(partition, generation, name.decode())
                if members:
                    yield name.decode(), members

    async def members(self, partition: int, generation: int, index: str) -> tuple[str, ...]:
        names = [self._keys.view(partition, generation, name) for name in (_index_name(index), LEAVED, ABSENT)]
        prefix = self._keys.view(partition, generation, "")
        found: list[bytes] = []
        while True:
            place = found[-1] if found else ""
            part = await self._members.run(self._client, names, (place, MEMBERS_AT_ONCE, index, prefix))
            found += part
            if len(part) < MEMBERS_AT_ONCE:
                return tuple(member.decode() for member in found)

    async def _of_live(
        self,
        script: ViewScript,
        partition: int,
        names: Sequence[str],
        arguments: Sequence[Argument],
        *,
        prefixed: bool = False,
    ) -> list[Any]:
        """What the script reads of the live generation; asked again where it was not the one that was live last.

        With `prefixed` it is told what the keys of the generation begin with, behind all else.
        """
        for _ in range(GENERATION_READS_MAX):
            generation = self._live[partition]
            keys = [self._keys.meta(partition), *(self._keys.view(partition, generation, name) for name in names)]
            prefix = (self._keys.view(partition, generation, ""),) if prefixed else ()
            answer: list[Any] = await script.run(self._client, keys, (generation, *arguments, *prefix))
            live = int(answer[0])
            if live == generation:
                return answer[1:]
            self._live[partition] = live
        raise LogUnavailable("the views are being rebuilt over and over")

    def _commit_call(self, commit: Commit) -> tuple[list[str], list[Argument]]:
        lease, checkpoint = commit.lease, commit.checkpoint
        tables: dict[Table, tuple[list[Argument], list[Argument]]] = {}
        for key, payload in commit.rows.items():
            tables.setdefault(key.table, ([], []))[0].extend((key.id, payload))
        for key in commit.removed:
            tables.setdefault(key.table, ([], []))[1].append(key.id)

        def view(name: str) -> str:
            return self._keys.view(lease.partition, lease.generation, name)

        keys = [
            self._checkpoint_key(lease),
            self._keys.changes(lease.partition),
            view("indexes"),
            view(LEAVED),
            *(view(_table_name(table)) for table in tables),
            *(view(_index_name(change.index)) for change in commit.indexes),
            view(ABSENT),
        ]
        arguments: list[Argument] = [
            lease.token,
            str(lease.checkpoint.position or ""),
            str(checkpoint.position or ""),
            checkpoint.number,
            checkpoint.unreadable,
            checkpoint.unknown,
            checkpoint.refused,
            commit.lease_ms,
            encode_changes(commit.changes) if commit.changes else b"",
            self._feed_bytes_max,
            len(tables),
            len(commit.indexes),
            lease.checkpoint.retired_before_us,
            checkpoint.retired_before_us,
            view(""),
            int(self._makes_leaves),
        ]
        for written, removed in tables.values():
            arguments += (len(written) // 2, len(removed), *written, *removed)
        for change in commit.indexes:
            arguments += (change.index, len(change.removed), len(change.added))
            arguments += (*sorted(change.removed), *sorted(change.added))
        return keys, arguments

    def _checkpoint_key(self, lease: Lease) -> str:
        return self._keys.checkpoint(lease.partition, lease.generation)


def _table_name(table: Table) -> str:
    return f"rows:{table.name}"


def _index_name(index: str) -> str:
    return f"index:{index}"


def _checkpoint(fields: Sequence[bytes | None]) -> Checkpoint:
    position, *counts = fields
    number, unreadable, unknown, refused, retired_before_us = (int(count or 0) for count in counts)
    return Checkpoint(
        position=Position.parse(position.decode()) if position else None,
        number=number,
        unreadable=unreadable,
        unknown=unknown,
        refused=refused,
        retired_before_us=retired_before_us,
    )
