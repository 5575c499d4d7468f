"""The index on LanceDB: a directory or bucket that many processes read and write at once.

Every write is a commit of a new version of the table. Commits that collide are answered as retryable and tried again;
every call looks for the newest version once, ahead of all else (0.2 ms on a local disk, one request to a bucket), so
what one process wrote the others find at once. In a bucket commits need conditional puts of the server, or a register
beside it (`lance_versions.py`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from knowledge.compaction import WRITES_MIN, Compaction
from knowledge.empty_table import EmptyTable
from knowledge.errors import IndexUnavailable, Overtaken
from knowledge.gathering import Gathering
from knowledge.index import IndexRow, IndexTable, TableReader, check_rows
from knowledge.lance_columns import make_complete
from knowledge.lance_commits import Commits, says
from knowledge.lance_creation import copy_table, create_table
from knowledge.lance_handle import IdleRows, LanceHandle
from knowledge.lance_imports import CACHE_BYTES_MAX, connect
from knowledge.lance_joining import JOIN_WRITES_MIN
from knowledge.lance_lookups import lookups_in
from knowledge.lance_reader import LanceReader
from knowledge.lance_vectors import VECTOR_INDEX_ROWS_MIN
from knowledge.lance_versions import LanceVersions
from knowledge.lance_writer import LanceWriter, Upsert, fitting, of_document
from knowledge.table_names import name_of, table_of
from knowledge.vectors import Vectors

TABLES_A_PAGE = 1_000

_MISSING = ("was not found", "not found", "does not exist")


class LanceIndex:
    """An `Index` on LanceDB at `uri` (a path, or `s3://...` with `storage_options`).

    `versions` is for a bucket: who comes first with a table, and with each version where the server does not compare.

    LanceDB is imported at the first call (0.6 s and 418 MB on disk): processes that never search never load it.
    """

    def __init__(
        self,
        uri: str,
        *,
        storage_options: dict[str, str] | None = None,
        versions: LanceVersions | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        compact_writes_min: int = WRITES_MIN,
        vector_index_rows_min: int = VECTOR_INDEX_ROWS_MIN,
        join_writes_min: int = JOIN_WRITES_MIN,
        cache_bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        self._uri = uri
        self._storage_options = storage_options
        self._versions = versions
        self._commits = Commits(rng or random.Random(), sleep)  # noqa: S311  # spreads retries, guards nothing
        self._compact_writes_min = compact_writes_min
        self._vector_index_rows_min = vector_index_rows_min
        self._join_writes_min = join_writes_min
        self._cache_bytes_max = cache_bytes_max
        self._connecting = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._connection: Any = None
        self._handles: dict[IndexTable, LanceHandle] = {}
        self._compactions: dict[IndexTable, Compaction] = {}

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        check_rows(document_id, rows)
        if not rows:
            return await self._upsert_nothing(table, document_id, fence)
        async with self._translated(table):
            dimensions = rows[0].vector.shape[0]
            # The writer looks for the newest version itself, once for all that it commits together.
            handle = await self._open(table, is_newest=False) or await self._create(table, dimensions)
            handle.check_dimensions(dimensions)
            overtaken = await handle.upserts.ask(Upsert(document_id, rows, fence))
        if overtaken is not None:
            raise overtaken
        return len(rows)

    async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        async with self._translated(table):
            handle = await self._open(table)
            if handle is None:
                return 0
            erased = await handle.writer.erase(document_id, fence)
            if erased:
                await self._after_write(table, handle, rows=0)
            return erased

    async def vectors(self, table: IndexTable, keys: Collection[str]) -> dict[str, Vectors]:
        wanted = set(keys) - {""}
        async with self._translated(table):
            # Whoever looks for all that ask together looks for the newest version first.
            handle = await self._open(table, is_newest=False)
            return await handle.lookups.ask(wanted) if handle is not None and wanted else {}

    async def count(self, table: IndexTable, document_id: str | None = None) -> int:
        async with self._translated(table):
            handle = await self._open(table)
            predicate = None if document_id is None else of_document(document_id)
            return 0 if handle is None else int(await handle.rows.count_rows(predicate))

    async def fence(self, table: IndexTable, document_id: str) -> int | None:
        from knowledge.lance_rows import read_fences

        async with self._translated(table):
            handle = await self._open(table)
            found = {} if handle is None else await read_fences(handle.rows, of_document(document_id))
            return max(found.get(document_id, []), default=None)

    async def drop(self, table: IndexTable) -> None:
        async with self._translated(table):
            connection = await self._connect()
            self._handles.pop(table, None)
            self._compactions.pop(table, None)
            await connection.drop_table(name_of(table), ignore_missing=True)
            if self._versions is not None:
                await self._versions.versions.forget(name_of(table))

    @asynccontextmanager
    async def reading(self, table: IndexTable) -> AsyncIterator[TableReader]:
        async with self._translated(table):
            handle = await self._open(table, is_newest=False)
            rows = None if handle is None else await handle.idle.take()
        if handle is None or rows is None:
            yield EmptyTable()
            return
        try:
            yield LanceReader(handle, rows, partial(self._translated, table))
        finally:
            handle.idle.give_back(rows)

    async def optimize(self, table: IndexTable) -> None:
        async with self._translated(table):
            handle = await self._open(table)
            if handle is not None:
                await handle.writer.optimize()

    async def forget_fences(self, table: IndexTable) -> None:
        async with self._translated(table):
            handle = await self._open(table)
            if handle is not None:
                await handle.writer.forget_fences()

    async def tables(self) -> list[IndexTable]:
        found: list[IndexTable] = []
        async with self._translated(None):
            connection, token, is_last = await self._connect(), None, False
            while not is_last:
                page = await connection.list_tables(page_token=token, limit=TABLES_A_PAGE)
                found += [table for table in map(table_of, page.tables) if table is not None]
                token = page.page_token
                is_last = not token
        return found

    async def documents(self, table: IndexTable) -> AsyncIterator[list[str]]:
        async with self._translated(table):
            handle = await self._open(table)
            if handle is not None:
                async for batch in await handle.rows.query().select(["document_id"]).to_batches():
                    yield sorted(set(batch.column("document_id").to_pylist()))

    async def check(self) -> None:
        async with self._translated(None):
            connection = await self._connect()
            await connection.list_tables(limit=1)

    async def close(self) -> None:
        self._handles.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _connect(self) -> Any:
        async with self._connecting:
            if self._connection is None:
                self._connection = await connect(self._uri, self._storage_options, self._cache_bytes_max)
        return self._connection

    async def _open(self, table: IndexTable, *, is_newest: bool = True) -> LanceHandle | None:
        """The table's handle at its newest version, or None where there is no such table (yet, or any more)."""
        handle = self._handles.get(table)
        if handle is None:
            return await self._open_first(table)
        if is_newest:
            await handle.rows.checkout_latest()
        return handle

    async def _open_first(self, table: IndexTable) -> LanceHandle | None:
        await self._connect()
        async with self._opening:
            if table in self._handles:  # by another call, meanwhile
                return self._handles[table]
            rows = await self._opened(table)
            if rows is None:
                return None
            await make_complete(rows, self._commits)
            schema = await rows.schema()
            self._handles[table] = self._handle(table, rows, schema.field("vector").type.list_size)
            return self._handles[table]

    async def _opened(self, table: IndexTable) -> Any:
        """Another object of LanceDB that stands for the table, at its newest version; None where there is no table."""
        connection = await self._connect()
        asking = {} if self._versions is None else await self._versions.opening(name_of(table))
        try:
            return await connection.open_table(name_of(table), **asking)
        except (ValueError, FileNotFoundError) as error:
            if not says(error, _MISSING):
                raise
            return None

    def _handle(self, table: IndexTable, rows: Any, dimensions: int) -> LanceHandle:
        """One writer a table: what several callers write at once it commits together."""
        writer = LanceWriter(
            rows,
            dimensions,
            self._commits,
            vector_index_rows_min=self._vector_index_rows_min,
            join_writes_min=self._join_writes_min,
        )

        async def write(upserts: Sequence[Upsert]) -> list[Overtaken | None]:
            overtaken = await writer.write(upserts)
            await self._after_write(table, handle, sum(len(upsert.rows) for upsert in upserts))
            return overtaken

        idle = IdleRows(partial(self._opened, table))
        handle = LanceHandle(rows, dimensions, writer, Gathering(write, fitting), lookups_in(rows), idle)
        return handle

    async def _upsert_nothing(self, table: IndexTable, document_id: str, fence: int) -> int:
        await self.erase(table, document_id, fence=fence)
        if await self.count(table, document_id):
            raise Overtaken(f"the index holds newer rows of {document_id}")
        return 0

    async def _create(self, table: IndexTable, dimensions: int) -> LanceHandle:
        if self._versions is None:
            await create_table(await self._connect(), name_of(table), dimensions)
        else:
            await copy_table(self._versions.versions, name_of(table), dimensions)
        handle = await self._open(table)
        if handle is None:
            raise IndexUnavailable(f"the table {name_of(table)} was dropped while it was created")
        return handle

    async def _after_write(self, table: IndexTable, handle: LanceHandle, rows: int) -> None:
        compaction = self._compactions.setdefault(table, Compaction(writes_min=self._compact_writes_min))
        if not compaction.wrote(rows):
            # In a bucket it has not been measured: the keys of the table would be read over the network.
            if self._storage_options is None:
                await handle.writer.join_small()
            return
        await handle.writer.optimize(gives_way=True)
        compaction.compacted(await handle.rows.count_rows())

    @asynccontextmanager
    async def _translated(self, table: IndexTable | None) -> AsyncIterator[None]:
        """Errors of LanceDB (ValueError, RuntimeError, OSError by chance) become IndexUnavailable.

        The handle is given up, so that the next try opens the table anew: it may have been dropped or moved.
        """
        try:
            yield
        except (RuntimeError, ValueError, OSError, ImportError) as error:
            if table is not None:
                self._handles.pop(table, None)
            raise IndexUnavailable(f"the index failed: {error}") from error
