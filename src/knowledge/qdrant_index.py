"""The index on a Qdrant server: any number of machines read and write it, and the server does the searching.

The rows of a knowledge base's generation are a tenant of a collection that others share (`qdrant_collection.py`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from qdrant_client import AsyncQdrantClient

from knowledge.compaction import WRITES_MIN, Compaction
from knowledge.empty_table import EmptyTable
from knowledge.errors import IndexUnavailable, Overtaken
from knowledge.index import IndexRow, IndexTable, TableReader, check_rows
from knowledge.qdrant_collection import deletion, is_value, within
from knowledge.qdrant_collections import Collections
from knowledge.qdrant_faults import Calls
from knowledge.qdrant_points import payload_of
from knowledge.qdrant_reader import QdrantReader
from knowledge.qdrant_search import read_vectors
from knowledge.qdrant_writer import QdrantWriter, to_its_end
from knowledge.vectors import Vectors


class QdrantIndex:
    """An `Index` on Qdrant; its collections are called `<collection>-<dimensions>`.

    `is_exact`: a search by vector compares every row of its table; else those of large tables go through a graph, which
    may miss some of the nearest. `sweep_writes_min`: after so many writes of this process to a table, rows are looked
    for that a writer left behind who died (`QdrantWriter.take_out_overtaken`).
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        *,
        collection: str,
        is_exact: bool = True,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sweep_writes_min: int = WRITES_MIN,
    ) -> None:
        self._client = client
        self._is_exact = is_exact
        self._sweep_writes_min = sweep_writes_min
        calls = Calls(rng or random.Random(), sleep)  # noqa: S311  spreads retries, guards nothing
        self.collections = Collections(client, collection, calls)
        self._sweeps: dict[IndexTable, Compaction] = {}
        self._swept_now: set[IndexTable] = set()

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        check_rows(document_id, rows)
        if not rows:
            return await self._upsert_nothing(table, document_id, fence)
        async with self._looking_again():
            collection = await self.collections.for_writing(table, rows[0].vector.shape[0])
            writer = QdrantWriter(collection, table)
            await to_its_end(writer.write(document_id, rows, fence))
            await self._after_write(table, writer, len(rows))
        return len(rows)

    async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        writer = await self._writer(table)
        async with self._looking_again():
            return 0 if writer is None else await writer.erase(document_id, fence)

    async def vectors(self, table: IndexTable, keys: Collection[str]) -> dict[str, Vectors]:
        wanted = sorted(set(keys) - {""})
        async with self._looking_again():
            collection = await self.collections.holding(table) if wanted else None
            return {} if collection is None else await read_vectors(collection, table, wanted)

    async def count(self, table: IndexTable, document_id: str | None = None) -> int:
        conditions = [] if document_id is None else [is_value("document_id", document_id)]
        async with self._looking_again():
            collection = await self.collections.holding(table)
            return 0 if collection is None else await collection.count(within(table, *conditions))

    async def fence(self, table: IndexTable, document_id: str) -> int | None:
        writer = await self._writer(table)
        async with self._looking_again():
            return None if writer is None else max(await writer.fences(document_id), default=None)

    async def drop(self, table: IndexTable) -> None:
        async with self._looking_again():
            self._sweeps.pop(table, None)
            for collection in await self.collections.all():
                await collection.update([deletion(within(table))])
            self.collections.forget(table)

    @asynccontextmanager
    async def reading(self, table: IndexTable) -> AsyncIterator[TableReader]:
        async with self._looking_again():
            collection = await self.collections.holding(table)
        if collection is None:
            yield EmptyTable()
        else:
            yield QdrantReader(collection, table, self._looking_again, is_exact=self._is_exact)

    async def tables(self) -> list[IndexTable]:
        async with self._looking_again():
            return await self.collections.tables()

    async def documents(self, table: IndexTable) -> AsyncIterator[list[str]]:
        async with self._looking_again():
            collection = await self.collections.holding(table)
            if collection is not None:
                async for records in collection.scroll(within(table), ["document_id"]):
                    yield sorted({payload_of(record)["document_id"] for record in records})

    async def optimize(self, table: IndexTable) -> None:
        """The server compacts by itself; this takes out what writers left behind."""
        writer = await self._writer(table)
        if writer is not None:
            async with self._looking_again():
                await writer.take_out_overtaken()

    async def forget_fences(self, table: IndexTable) -> None:
        writer = await self._writer(table)
        if writer is not None:
            async with self._looking_again():
                await writer.forget_fences()

    async def version(self) -> str:
        """That of the server. Raises IndexRefused where it is too old or refuses the key."""
        return await self.collections.version()

    async def check(self) -> None:
        await self.version()

    async def close(self) -> None:
        await self._client.close()

    async def _writer(self, table: IndexTable) -> QdrantWriter | None:
        async with self._looking_again():
            collection = await self.collections.holding(table)
            return None if collection is None else QdrantWriter(collection, table)

    async def _upsert_nothing(self, table: IndexTable, document_id: str, fence: int) -> int:
        await self.erase(table, document_id, fence=fence)
        if await self.count(table, document_id):
            raise Overtaken(f"the index holds newer rows of {document_id}")
        return 0

    async def _after_write(self, table: IndexTable, writer: QdrantWriter, rows: int) -> None:
        """Writes go side by side: those that end during a sweep, which reads the whole table, begin no other."""
        sweep = self._sweeps.setdefault(table, Compaction(writes_min=self._sweep_writes_min))
        if not sweep.wrote(rows) or table in self._swept_now:
            return
        self._swept_now.add(table)
        try:
            await writer.take_out_overtaken()
            sweep.compacted(await self.count(table))
        finally:
            self._swept_now.remove(table)

    @asynccontextmanager
    async def _looking_again(self) -> AsyncIterator[None]:
        """Behind a failure nothing is taken as known: a collection may have been removed, or the server replaced."""
        try:
            yield
        except IndexUnavailable:
            self.collections.forget()
            raise
