"""Blobs and index in memory as a process sees them through its wire. Each effect is shown to the checks at once."""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from blobs.errors import BlobExists, BlobStoreFull, BlobStoreUnavailable
from blobs.memory import MemoryBlobStore
from blobs.store import METADATA_BYTES_MAX, BlobInfo, BlobRef, BlobWriter
from blobs.writer import Batch, BatchingWriter, Tail, pieces_of, put_whole
from knowledge.errors import IndexUnavailable
from knowledge.index import IndexRow, IndexTable, TableReader
from knowledge.memory_index import MemoryIndex
from knowledge.vectors import Vectors
from tests.simulation.checks import Checks
from tests.simulation.wire import Store, Wire

T = TypeVar("T")


def _blobs_away() -> Exception:
    return BlobStoreUnavailable("the simulated blob store does not answer")


def _blobs_full() -> Exception:
    return BlobStoreFull("the simulated blob store is full")


class SimulatedBlobs:
    """BlobStore."""

    def __init__(self, wire: Wire, blobs: MemoryBlobStore, checks: Checks) -> None:
        self._wire = wire
        self._blobs = blobs
        self._checks = checks

    def writer(self, key: str) -> BlobWriter:
        return BatchingWriter(key, _Sink(self, key), batch_bytes=1 << 20, hash_inline_bytes_max=1 << 20)

    async def put(self, key: str, data: bytes) -> BlobRef:
        return await put_whole(self.writer(key), data)

    async def keep(self, key: str, data: bytes, metadata: bytes) -> None:
        """What a writer does in the end."""

        async def effect() -> None:
            self._blobs.keep(key, data, metadata)
            self._checks.blob_written(key, self._wire.process, is_given_up=self._wire.is_given_up)

        await self._wire.call(Store.BLOBS, effect, _blobs_away, full=_blobs_full)

    async def put_new(self, key: str, data: bytes) -> BlobRef:
        if await self.stat(key) is not None:
            raise BlobExists(key)
        return await self.put(key, data)

    async def get(self, key: str) -> bytes:
        return await self._wire.call(Store.BLOBS, lambda: self._blobs.get(key), _blobs_away)

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        async def effect() -> list[bytes]:
            return [piece async for piece in self._blobs.read(key, start=start, length=length)]

        for piece in await self._wire.call(Store.BLOBS, effect, _blobs_away):
            yield piece

    async def compose(self, sources: Sequence[tuple[str, int]], to: str) -> None:
        await self._wire.call(Store.BLOBS, lambda: self._blobs.compose(sources, to), _blobs_away)

    async def stat(self, key: str) -> BlobInfo | None:
        return await self._wire.call(Store.BLOBS, lambda: self._blobs.stat(key), _blobs_away)

    async def metadata(self, key: str) -> bytes | None:
        return await self._wire.call(Store.BLOBS, lambda: self._blobs.metadata(key), _blobs_away)

    async def delete(self, key: str) -> bool:
        async def effect() -> bool:
            self._checks.blob_deleted(key)
            return await self._blobs.delete(key)

        return await self._wire.call(Store.BLOBS, effect, _blobs_away)

    async def delete_prefix(self, prefix: str) -> int:
        async def effect() -> int:
            self._checks.prefix_deleted(prefix)
            return await self._blobs.delete_prefix(prefix)

        return await self._wire.call(Store.BLOBS, effect, _blobs_away)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        async def effect() -> list[BlobInfo]:
            return [info async for info in self._blobs.list(prefix)]

        for info in await self._wire.call(Store.BLOBS, effect, _blobs_away):
            yield info

    async def check(self) -> None:
        await self._wire.call(Store.BLOBS, self._blobs.check, _blobs_away)

    async def close(self) -> None:
        """The store belongs to the world."""


class _Sink:
    def __init__(self, blobs: SimulatedBlobs, key: str) -> None:
        self._blobs = blobs
        self._key = key
        self._batches: list[bytes] = []

    async def append(self, batch: Batch) -> None:
        self._batches.append(batch.getvalue())

    async def carries(self, size_bytes: int, /) -> bool:
        return size_bytes <= METADATA_BYTES_MAX

    async def finish(self, tail: Tail, _sha256: str, metadata: bytes, /) -> None:
        await self._blobs.keep(self._key, b"".join([*self._batches, *pieces_of(tail)]), metadata)

    async def discard(self) -> None:
        self._batches.clear()


def _index_away() -> Exception:
    return IndexUnavailable("the simulated index does not answer")


class SimulatedIndex:
    """Index: a library in the process, so that its writes stand still with it."""

    def __init__(self, wire: Wire, index: MemoryIndex, checks: Checks) -> None:
        self._wire = wire
        self._index = index
        self._checks = checks

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        async def effect() -> int:
            written = await self._index.upsert(table, document_id, rows, fence=fence)
            self._checks.rows_written(document_id, self._wire.process, is_given_up=self._wire.is_given_up)
            return written

        return await self._call(effect)

    async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        async def effect() -> int:
            erased = await self._index.erase(table, document_id, fence=fence)
            if erased:
                self._checks.rows_erased(document_id)
            return erased

        return await self._call(effect)

    async def vectors(self, table: IndexTable, keys: Collection[str]) -> dict[str, Vectors]:
        return await self._call(lambda: self._index.vectors(table, keys))

    async def count(self, table: IndexTable, document_id: str | None = None) -> int:
        return await self._call(lambda: self._index.count(table, document_id))

    async def fence(self, table: IndexTable, document_id: str) -> int | None:
        return await self._call(lambda: self._index.fence(table, document_id))

    async def drop(self, table: IndexTable) -> None:
        async def effect() -> None:
            self._checks.table_dropped(table)
            await self._index.drop(table)

        await self._call(effect)

    @asynccontextmanager
    async def reading(self, table: IndexTable) -> AsyncIterator[TableReader]:
        """No process of the simulation searches: opening a table stands for all calls to it."""

        async def effect() -> None:
            """Nothing changes."""

        await self._call(effect)
        async with self._index.reading(table) as reader:
            yield reader

    async def optimize(self, table: IndexTable) -> None:
        await self._call(lambda: self._index.optimize(table))

    async def forget_fences(self, table: IndexTable) -> None:
        await self._call(lambda: self._index.forget_fences(table))

    async def check(self) -> None:
        await self._call(self._index.check)

    async def close(self) -> None:
        """The index belongs to the world."""

    async def _call(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await self._wire.call(Store.INDEX, effect, _index_away, is_local=True)
