"""The views in memory: the reference semantics, for the simulation and as what Redis is compared with."""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from events.envelope import Position
from events.memory_store import Waiters
from projections.errors import GenerationIsLive
from projections.feed import FEED_BYTES_MAX, FeedEntry, FeedPosition, decode_changes, encode_changes, within
from projections.projection import RowKey, Table, row_id_of
from projections.views import (
    GENERATION_FIRST,
    Checkpoint,
    Commit,
    IndexChange,
    IndexedRow,
    Lease,
    LeaseHeld,
    NotLive,
    Page,
)


class _Generation:
    def __init__(self) -> None:
        self.tables: dict[Table, dict[str, bytes]] = {}
        self.indexes: dict[str, list[str]] = {}
        self.checkpoint = Checkpoint()
        self.token = 0
        self.holder: str | None = None
        self.until_ms = 0

    def change_index(self, change: IndexChange) -> None:
        members = self.indexes.setdefault(change.index, [])
        for member in change.removed:
            place = bisect_left(members, member)
            if place < len(members) and members[place] == member:
                del members[place]
        for member in change.added:
            place = bisect_left(members, member)
            if place == len(members) or members[place] != member:
                insort(members, member)
        if not members:
            del self.indexes[change.index]


class _Partition:
    def __init__(self) -> None:
        self.live = GENERATION_FIRST
        self.tokens = 0
        self.generations: dict[int, _Generation] = {}
        self.feed: list[tuple[FeedPosition, bytes]] = []
        self.feed_bytes = 0
        self.feed_end = FeedPosition()
        self.feed_trimmed = FeedPosition()

    def generation(self, number: int) -> _Generation:
        return self.generations.setdefault(number, _Generation())

    def announce(self, payload: bytes, now_ms: int, bytes_max: int) -> None:
        end = self.feed_end
        self.feed_end = FeedPosition(now_ms, 0) if now_ms > end.ms else FeedPosition(end.ms, end.sequence + 1)
        self.feed.append((self.feed_end, payload))
        self.feed_bytes += len(payload)
        while self.feed_bytes > bytes_max and len(self.feed) > 1:
            self.feed_trimmed, dropped = self.feed.pop(0)
            self.feed_bytes -= len(dropped)


class MemoryViews:
    """ViewStore and ChangeFeed in memory. `clock_ms` is the store's clock (unix ms)."""

    def __init__(self, *, partitions: int, clock_ms: Callable[[], int], feed_bytes_max: int = FEED_BYTES_MAX) -> None:
        self._clock_ms = clock_ms
        self._feed_bytes_max = feed_bytes_max
        self._partitions = [_Partition() for _ in range(partitions)]
        self._changed = Waiters()

    @property
    def partitions(self) -> int:
        return len(self._partitions)

    async def live_generation(self, partition: int) -> int:
        return self._partitions[partition].live

    async def checkpoint(self, partition: int, generation: int | None = None) -> Checkpoint:
        found = self._partitions[partition].generations.get(generation or self._partitions[partition].live)
        return Checkpoint() if found is None else found.checkpoint

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        stored = self._live(partition).tables.get(table, {})
        return [stored.get(one) for one in ids]

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
        live = self._live(partition)
        members = live.indexes.get(index, [])
        if floor is not None:
            members = members[bisect_left(members, floor) :]
        if newest_first:
            end = len(members) if after is None else bisect_left(members, after)
            chosen = members[max(0, end - limit) : end][::-1]
        else:
            start = 0 if after is None else bisect_right(members, after)
            chosen = members[start : start + limit]
        stored = live.tables.get(table, {})
        return Page(tuple(IndexedRow(member, stored[row_id_of(member)]) for member in chosen), len(members))

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
        state, now_ms = self._partitions[partition], self._clock_ms()
        if (generation <= state.live) if build else (generation != state.live):
            return NotLive(state.live)
        wanted = state.generation(generation)
        is_held = wanted.holder is not None and wanted.until_ms > now_ms
        if is_held and wanted.holder != holder and not seize:
            return LeaseHeld(wanted.until_ms - now_ms)
        if not is_held or wanted.holder != holder or wanted.token != renews:
            state.tokens += 1
            wanted.token = state.tokens
        wanted.holder, wanted.until_ms = holder, now_ms + lease_ms
        return Lease(partition=partition, generation=generation, token=wanted.token, checkpoint=wanted.checkpoint)

    async def release(self, lease: Lease) -> None:
        held = self._held(lease)
        if held is not None:
            held.holder = None

    async def load(self, lease: Lease, keys: Sequence[RowKey]) -> list[bytes | None]:
        tables = self._partitions[lease.partition].generation(lease.generation).tables
        return [tables.get(key.table, {}).get(key.id) for key in keys]

    def break_feed(self, partition: int) -> None:
        """What `raise_epoch.lua` does to a feed."""
        payload = encode_changes(())
        self._partitions[partition].announce(payload, self._clock_ms(), self._feed_bytes_max)
        self._changed.wake()

    async def commit(self, commit: Commit) -> bool:
        held = self._held(commit.lease)
        if held is None:
            return False
        place = _place(held.checkpoint)
        if place == _place(commit.checkpoint):
            return True
        if place != _place(commit.lease.checkpoint):
            return False
        for key in commit.removed:
            held.tables.get(key.table, {}).pop(key.id, None)
        for key, payload in commit.rows.items():
            held.tables.setdefault(key.table, {})[key.id] = payload
        for change in commit.indexes:
            held.change_index(change)
        held.checkpoint = commit.checkpoint
        held.until_ms = self._clock_ms() + commit.lease_ms
        if commit.changes:
            payload = encode_changes(commit.changes)
            self._partitions[commit.lease.partition].announce(payload, self._clock_ms(), self._feed_bytes_max)
            self._changed.wake()
        return True

    async def swap(self, live: Lease, built: Lease) -> bool:
        state, old, new = self._partitions[live.partition], self._held(live), self._held(built)
        if state.live != live.generation or old is None or new is None:
            return False
        if not new.checkpoint.is_at(old.checkpoint):
            return False
        state.live = built.generation
        new.holder = None
        return True

    async def drop(self, partition: int, generation: int, *, limit: int) -> bool:
        state = self._partitions[partition]
        if generation == state.live:
            raise GenerationIsLive("the live generation cannot be dropped")
        dropped = state.generation(generation)
        dropped.token, dropped.checkpoint = 0, Checkpoint()
        for index in list(dropped.indexes)[:limit]:
            del dropped.indexes[index]
        if dropped.indexes:
            return False
        del state.generations[generation]
        return True

    async def scan_rows(self, partition: int, generation: int, table: Table) -> AsyncIterator[tuple[str, bytes]]:
        found = self._partitions[partition].generations.get(generation, _Generation())
        for row in list(found.tables.get(table, {}).items()):
            yield row

    async def scan_indexes(self, partition: int, generation: int) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
        found = self._partitions[partition].generations.get(generation, _Generation())
        for index, members in list(found.indexes.items()):
            yield index, tuple(members)

    async def members(self, partition: int, generation: int, index: str) -> tuple[str, ...]:
        found = self._partitions[partition].generations.get(generation, _Generation())
        return tuple(found.indexes.get(index, ()))

    async def feed_end(self, partition: int) -> FeedPosition:
        return self._partitions[partition].feed_end

    async def feed_read(self, after: Mapping[int, FeedPosition], *, limit: int, wait_ms: int = 0) -> list[FeedEntry]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        while True:
            found = [entry for partition, place in after.items() for entry in self._feed(partition, place)[:limit]]
            rest_s = deadline - loop.time()
            if found or rest_s <= 0:
                return found
            await self._changed.wait(rest_s)

    async def feed_reaches(self, partition: int, after: FeedPosition) -> bool:
        return self._partitions[partition].feed_trimmed <= after

    async def feed_since(self, partition: int, after: FeedPosition, *, limit: int) -> list[FeedEntry] | None:
        state = self._partitions[partition]
        if not state.feed_trimmed <= after <= state.feed_end:
            return None
        found = self._feed(partition, after)
        return within(found, limit)

    def _feed(self, partition: int, after: FeedPosition) -> list[FeedEntry]:
        feed = self._partitions[partition].feed
        start = bisect_right(feed, after, key=lambda entry: entry[0])
        return [FeedEntry(partition, position, decode_changes(payload)) for position, payload in feed[start:]]

    def _live(self, partition: int) -> _Generation:
        state = self._partitions[partition]
        return state.generation(state.live)

    def _held(self, lease: Lease) -> _Generation | None:
        found = self._partitions[lease.partition].generations.get(lease.generation)
        return found if found is not None and found.token == lease.token else None


def _place(checkpoint: Checkpoint) -> tuple[Position | None, int]:
    """What a commit is compared by: each moves one of the two on."""
    return checkpoint.position, checkpoint.retired_before_us
