"""The views as a process sees them through its wire; each commit is shown to the checks at once."""

from collections.abc import AsyncIterator, Sequence

from events.errors import LogFull, LogUnavailable
from projections.memory_views import MemoryViews
from projections.projection import RowKey, Table
from projections.views import Checkpoint, Commit, Lease, LeaseHeld, NotLive, Page
from tests.simulation.view_checks import ViewChecks
from tests.simulation.wire import Store, Wire


def _away() -> Exception:
    return LogUnavailable("the simulated views do not answer")


def _full() -> Exception:
    return LogFull("the simulated views are full")


class SimulatedViews:
    """ViewStore."""

    def __init__(self, wire: Wire, views: MemoryViews, checks: ViewChecks) -> None:
        self._wire = wire
        self._views = views
        self._checks = checks

    @property
    def partitions(self) -> int:
        return self._views.partitions

    async def live_generation(self, partition: int) -> int:
        return await self._wire.call(Store.VIEWS, lambda: self._views.live_generation(partition), _away)

    async def checkpoint(self, partition: int, generation: int | None = None) -> Checkpoint:
        return await self._wire.call(Store.VIEWS, lambda: self._views.checkpoint(partition, generation), _away)

    async def rows(self, partition: int, table: Table, ids: Sequence[str]) -> list[bytes | None]:
        return await self._wire.call(Store.VIEWS, lambda: self._views.rows(partition, table, ids), _away)

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
        return await self._wire.call(
            Store.VIEWS,
            lambda: self._views.page(
                partition, index, table, after=after, limit=limit, newest_first=newest_first, floor=floor
            ),
            _away,
        )

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
        return await self._wire.call(
            Store.VIEWS,
            lambda: self._views.acquire(
                partition, generation, holder=holder, lease_ms=lease_ms, build=build, seize=seize, renews=renews
            ),
            _away,
        )

    async def release(self, lease: Lease) -> None:
        await self._wire.call(Store.VIEWS, lambda: self._views.release(lease), _away)

    async def load(self, lease: Lease, keys: Sequence[RowKey]) -> list[bytes | None]:
        return await self._wire.call(Store.VIEWS, lambda: self._views.load(lease, keys), _away)

    async def commit(self, commit: Commit) -> bool:
        async def effect() -> bool:
            is_written = await self._views.commit(commit)
            if is_written:
                self._checks.committed(commit.lease.partition, commit.lease.generation)
            return is_written

        return await self._wire.call(Store.VIEWS, effect, _away, full=_full)

    async def swap(self, live: Lease, built: Lease) -> bool:
        return await self._wire.call(Store.VIEWS, lambda: self._views.swap(live, built), _away)

    async def drop(self, partition: int, generation: int, *, limit: int) -> bool:
        return await self._wire.call(Store.VIEWS, lambda: self._views.drop(partition, generation, limit=limit), _away)

    async def scan_rows(self, partition: int, generation: int, table: Table) -> AsyncIterator[tuple[str, bytes]]:
        async for row in self._views.scan_rows(partition, generation, table):
            yield row

    async def scan_indexes(self, partition: int, generation: int) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
        async for found in self._views.scan_indexes(partition, generation):
            yield found

    async def members(self, partition: int, generation: int, index: str) -> tuple[str, ...]:
        return await self._views.members(partition, generation, index)
