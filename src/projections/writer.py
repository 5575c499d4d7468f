"""Pages of events folded into one generation of views, each in one compared commit under one lease."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from events.envelope import Envelope
from events.failpoints import Place, failpoint
from events.log import Unreadable
from projections.batch import Batch, Folding, Rows
from projections.projection import RowKey
from projections.retention import Expired
from projections.rows import Row, decode_row, encode_row, entries_of, is_at_rest
from projections.views import Checkpoint, Commit, IndexChange, Lease, ViewStore

CACHED_ROWS_MAX: Final = 20_000
"""Rows kept decoded a partition, about 3 kB each: while it changes a row is read once and then only written."""

LEASE_MS: Final = 5_000
"""How long after a projector's death another takes over."""

_log = structlog.get_logger(__name__)


class RowCache:
    """Rows that are still changing, valid as long as nobody else writes them; what the store does not have is None.

    What has come to rest is let go: hardly ever is it asked for again, and thousands of such rows would only be taken
    apart later, long after the processor's caches have forgotten them.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows: OrderedDict[RowKey, Row | None] = OrderedDict()

    async def fetch(
        self, keys: Iterable[RowKey], load: Callable[[Sequence[RowKey]], Awaitable[list[bytes | None]]]
    ) -> Rows:
        wanted = list(keys)
        missing = [key for key in wanted if key not in self._rows]
        if missing:
            for key, payload in zip(missing, await load(missing), strict=True):
                self._rows[key] = None if payload is None else decode_row(key.table, payload)
        for key in wanted:
            self._rows.move_to_end(key)
        return {key: self._rows[key] for key in wanted}

    def keep(self, rows: Rows) -> None:
        for key, row in rows.items():
            if row is None or is_at_rest(row):
                self._rows.pop(key, None)
                continue
            self._rows[key] = row
            self._rows.move_to_end(key)
        while len(self._rows) > self._rows_max:
            self._rows.popitem(last=False)


class Writer:
    """Folds pages into one generation under one lease, each in one commit."""

    def __init__(
        self,
        views: ViewStore,
        lease: Lease,
        *,
        lease_ms: int = LEASE_MS,
        announces: bool = True,
        rows_max: int,
    ) -> None:
        self._views = views
        self._lease = lease
        self._lease_ms = lease_ms
        self._announces = announces
        self._cache = RowCache(rows_max)
        self._retired_before_us = lease.checkpoint.retired_before_us

    @property
    def lease(self) -> Lease:
        """With the checkpoint of the last commit."""
        return self._lease

    async def write(self, page: Sequence[Envelope | Unreadable]) -> bool:
        """False where the lease is lost: nothing was written, and this writer is of no more use."""
        batch = Batch(page, retired_before_us=self._retired_before_us)
        batch.fold_documents(await self._cache.fetch(batch.first_keys(), self._load))
        folding = batch.fold_counts(await self._cache.fetch(batch.second_keys(), self._load))
        before = self._lease.checkpoint
        checkpoint = behind(page, folding, before, self._retired_before_us)
        commit = Commit(
            lease=self._lease,
            checkpoint=checkpoint,
            rows={key: encode_row(row) for key, row in folding.rows.items()},
            removed=folding.removed,
            indexes=folding.indexes,
            changes=folding.changes if self._announces else (),
            lease_ms=self._lease_ms,
        )
        failpoint(Place.PROJECTOR_FOLDED)
        if not await self._views.commit(commit):
            return False
        failpoint(Place.PROJECTOR_COMMITTED)
        self._cache.keep(folding.after)
        self._lease = msgspec.structs.replace(self._lease, checkpoint=checkpoint)
        tell_of_passed_over(self._lease.partition, before, checkpoint)
        return True

    async def retire(self, found: Expired) -> bool:
        """Takes tasks out of the views; False where the lease is lost."""
        checkpoint = msgspec.structs.replace(self._lease.checkpoint, retired_before_us=found.before_us)
        places: dict[str, list[str]] = {}
        for key, row in found.tasks.items():
            for entry in entries_of(key, row):
                places.setdefault(entry.index, []).append(entry.member)
        commit = Commit(
            lease=self._lease,
            checkpoint=checkpoint,
            rows={},
            removed=tuple(found.tasks),
            indexes=tuple(IndexChange(index, tuple(members), ()) for index, members in places.items()),
            lease_ms=self._lease_ms,
        )
        if not await self._views.commit(commit):
            return False
        self._cache.keep(dict.fromkeys(found.tasks))
        self._lease = msgspec.structs.replace(self._lease, checkpoint=checkpoint)
        self._retired_before_us = found.before_us
        return True

    async def _load(self, keys: Sequence[RowKey]) -> list[bytes | None]:
        return await self._views.load(self._lease, keys)


def behind(
    page: Sequence[Envelope | Unreadable], folding: Folding, before: Checkpoint, retired_before_us: int
) -> Checkpoint:
    """Where views stand that stood at `before` and hold a page more."""
    return Checkpoint(
        position=page[-1].position,
        # A foreign entry has no number.
        number=next((entry.number for entry in reversed(page) if entry.number), before.number),
        unreadable=before.unreadable + folding.unreadable,
        unknown=before.unknown + folding.unknown,
        refused=before.refused + folding.refused,
        retired_before_us=retired_before_us,
    )


def tell_of_passed_over(partition: int, before: Checkpoint, after: Checkpoint) -> None:
    """The counts stay in the checkpoint; the log line is for whoever watches."""
    if (after.unreadable, after.refused) != (before.unreadable, before.refused):
        _log.error(
            "events_passed_over",
            partition=partition,
            until=str(after.position),
            unreadable=after.unreadable - before.unreadable,
            refused=after.refused - before.refused,
        )
