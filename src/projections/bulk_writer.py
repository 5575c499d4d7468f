"""Pages of events folded into a generation that nobody reads yet: each row is written once for many pages.

A document that changes ten times within them is packed and sent once, a list takes its members in long runs, and a
commit's own price is paid for thousands of events. While a commit is under way the next pages are folded: Redis and its
disk take as long for one as the fold of a page. What waits is lost with the process: so is the generation, which
whoever builds next deletes and begins anew.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from domain.decider import Run
from domain.document import DocumentState
from events.envelope import Envelope
from events.failpoints import Place, failpoint
from events.log import Unreadable
from projections.batch import Batch, Folding, Rows
from projections.index_changes import index_changes
from projections.projection import RowKey
from projections.rows import Row, encode_row
from projections.views import Checkpoint, Commit, Lease, ViewStore
from projections.writer import CACHED_ROWS_MAX, LEASE_MS, RowCache, behind, tell_of_passed_over
from projections.written_rows import WrittenRows

PAGES_A_COMMIT: Final = 8
"""Of 1,000 events: 10 to 14 ms of the server's only thread, where one page by itself takes 3; an append may take 20."""

ROWS_A_COMMIT: Final = 2_000
"""Of documents that are on their way a row takes 1.5 kB."""

COMMITS_AFTER_S: Final = LEASE_MS / 5_000
"""A commit renews the lease, so none waits for long, however slowly the log is read."""

OnPage = Callable[[Sequence[Envelope | Unreadable], Mapping[str, Run[DocumentState]]], None]
"""Is told of a page that was folded, and of how its documents went."""

OnRows = Callable[[Mapping[RowKey, Row], Mapping[RowKey, bytes]], None]
"""Is told of rows that are about to be written, and of their bytes."""


class Follower(msgspec.Struct, frozen=True):
    """Who is told of what is folded."""

    on_page: OnPage = lambda _page, _folded: None
    on_rows: OnRows = lambda _rows, _packed: None


NOBODY: Final = Follower()


class _UnderWay(msgspec.Struct, frozen=True):
    """A commit that was sent: the rows in it, and the checkpoint behind them."""

    commits: asyncio.Future[bool]
    rows: Rows
    checkpoint: Checkpoint


class BulkWriter:
    """Folds pages into one generation, begun empty under the lease that it is written under: what this writer has not
    written is not there, and next to nobody is asked for it.

    `retired_before_us` is the mark of the live views: what they have retired is left out again.
    """

    def __init__(
        self,
        views: ViewStore,
        lease: Lease,
        *,
        retired_before_us: int = 0,
        pages_a_commit: int = PAGES_A_COMMIT,
        rows_a_commit: int = ROWS_A_COMMIT,
        written: WrittenRows | None = None,
        on_commit: Callable[[Commit], None] = lambda _commit: None,
        follower: Follower = NOBODY,
    ) -> None:
        self._views = views
        self._lease = lease
        self._checkpoint = lease.checkpoint
        self._retired_before_us = max(lease.checkpoint.retired_before_us, retired_before_us)
        self._pages_a_commit = pages_a_commit
        self._rows_a_commit = rows_a_commit
        self._on_commit = on_commit
        self._follower = follower
        self._cache = RowCache(CACHED_ROWS_MAX)
        self._written = written or WrittenRows()
        self._before: dict[RowKey, Row | None] = {}
        self._after: dict[RowKey, Row | None] = {}
        self._pages = 0
        self._began_s = 0.0
        self._under_way: _UnderWay | None = None

    @property
    def lease(self) -> Lease:
        """With the checkpoint of the last commit that has arrived."""
        return self._lease

    @property
    def checkpoint(self) -> Checkpoint:
        """Behind the last page, whether it was committed or waits."""
        return self._checkpoint

    async def write(self, page: Sequence[Envelope | Unreadable]) -> bool:
        """False where the lease is lost, as the next commit finds at the latest: this writer is of no more use."""
        if self._pages == 0:
            self._began_s = _now_s()
        batch = Batch(page, retired_before_us=self._retired_before_us)
        batch.fold_documents(await self._rows(batch.first_keys()))
        folding = batch.fold_counts(await self._rows(batch.second_keys()))
        self._checkpoint = behind(page, folding, self._checkpoint, self._retired_before_us)
        self._gather(folding)
        self._follower.on_page(page, folding.documents)
        self._pages += 1
        is_due = self._pages >= self._pages_a_commit or len(self._after) >= self._rows_a_commit
        if is_due or _now_s() - self._began_s > COMMITS_AFTER_S:
            return await self._send()
        if self._under_way is not None:
            await asyncio.sleep(0)  # a turn for what is sent: a commit is larger than a socket takes at once
        return True

    async def commit(self) -> bool:
        """Writes what waits; False where the lease is lost. Nothing is under way behind it."""
        return await self._send() and await self._arrived()

    async def give_up(self) -> None:
        """Waits for a commit that is under way, whatever becomes of it."""
        if self._under_way is not None:
            await asyncio.gather(self._under_way.commits, return_exceptions=True)

    async def _send(self) -> bool:
        """Begins the commit of what waits, once the one before it has arrived."""
        if not await self._arrived():
            return False
        if self._pages == 0:
            return True
        rows = {key: row for key, row in self._after.items() if row is not None}
        packed = {key: encode_row(row) for key, row in rows.items()}
        self._follower.on_rows(rows, packed)
        commit = Commit(
            lease=self._lease,
            checkpoint=self._checkpoint,
            rows=packed,
            removed=tuple(key for key, row in self._after.items() if row is None and self._before[key] is not None),
            indexes=index_changes(self._before, self._after),
            lease_ms=LEASE_MS,
        )
        failpoint(Place.PROJECTOR_FOLDED)
        self._on_commit(commit)
        self._under_way = _UnderWay(asyncio.ensure_future(self._views.commit(commit)), self._after, self._checkpoint)
        self._before, self._after, self._pages = {}, {}, 0
        await asyncio.sleep(0)
        return True

    async def _arrived(self) -> bool:
        """Waits for the commit that is under way; False where the lease is lost."""
        sent = self._under_way
        if sent is None:
            return True
        if not await asyncio.shield(sent.commits):  # who is cancelled here still waits for it, see `give_up`
            return False
        failpoint(Place.PROJECTOR_COMMITTED)
        self._under_way = None
        self._written.note(key for key, row in sent.rows.items() if row is not None)
        self._cache.keep(sent.rows)
        before, self._lease = self._lease.checkpoint, msgspec.structs.replace(self._lease, checkpoint=sent.checkpoint)
        tell_of_passed_over(self._lease.partition, before, sent.checkpoint)
        return True

    def _gather(self, folding: Folding) -> None:
        for key, row in folding.after.items():
            if key not in self._after:
                self._before[key] = folding.before.get(key)
            self._after[key] = row

    async def _rows(self, keys: Iterable[RowKey]) -> Rows:
        found, others = dict[RowKey, Row | None](), []
        sent = {} if self._under_way is None else self._under_way.rows
        for key in keys:
            if key in self._after:
                found[key] = self._after[key]
            elif key in sent:
                found[key] = sent[key]
            else:
                found[key] = None
                others.append(key)
        asked = self._written.among(others)
        if asked:
            found |= await self._cache.fetch(asked, self._load)
        return found

    async def _load(self, keys: Sequence[RowKey]) -> list[bytes | None]:
        return await self._views.load(self._lease, keys)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
