"""The collections of the index: one for each length of vectors, and which of them holds a table."""

import asyncio
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, models

from knowledge.errors import IndexRefused, KnowledgeError
from knowledge.index import IndexTable
from knowledge.qdrant_collection import FACETS_MAX, Collection, is_any, within
from knowledge.qdrant_faults import Calls, status_of
from knowledge.qdrant_points import DENSE, TERMS
from knowledge.table_names import table_of

SERVER_VERSION_MIN: Final = (1, 19)
"""The first that counts words of one table alone (`params.idf`); older ones ignore that silently, and would rank by the
words of all knowledge bases."""

_KEYWORD: Final = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False)
_INTEGER: Final = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, enable_hnsw=False)
_FLOAT: Final = models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False)

PAYLOAD_INDICES: Final[dict[str, Any]] = {
    "table": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "document_id": _KEYWORD,
    "vector_key": _KEYWORD,
    "values": _KEYWORD,
    "ordinal": _INTEGER,
    "fence": _INTEGER,
    "ordered[].field": _KEYWORD,
    "ordered[].number": _FLOAT,
    "ordered[].head": _FLOAT,
    "ordered[].next": _FLOAT,
}
"""Everything that a filter of ours names."""

# A graph for each table and none for the whole: a search never leaves its table.
_GRAPHS: Final = models.HnswConfigDiff(m=0, payload_m=16)


class Collections:
    """Those whose names begin with `prefix`. Where a table lies is remembered: its vectors keep their length."""

    def __init__(self, client: AsyncQdrantClient, prefix: str, calls: Calls) -> None:
        self._client = client
        self._prefix = prefix
        self._calls = calls
        self._opening = asyncio.Lock()
        self._known: dict[int, Collection] = {}
        self._places: dict[IndexTable, int] = {}
        self._is_version_checked = False

    async def version(self) -> str:
        """That of the server. Raises IndexRefused where it is too old, or refuses the key."""
        version = (await self._calls.make(self._client.info)).version
        if _numbers_of(version) < SERVER_VERSION_MIN:
            wanted = ".".join(map(str, SERVER_VERSION_MIN))
            raise IndexRefused(f"Qdrant {version} is too old for the index: use {wanted} or newer")
        await self._calls.make(self._client.get_collections)
        self._is_version_checked = True
        return version

    async def all(self) -> list[Collection]:
        """Every collection there is, ready to be asked."""
        if not self._is_version_checked:
            await self.version()
        found = await self._calls.make(self._client.get_collections)
        lengths = [self._dimensions_of(one.name) for one in found.collections]
        return [await self._open(dimensions) for dimensions in sorted(filter(None, lengths))]

    async def holding(self, table: IndexTable) -> Collection | None:
        """Where rows of the table are; None where it has none."""
        if table in self._places:
            return await self._open(self._places[table])
        for collection in await self.all():
            if await collection.count(within(table)):
                self._places[table] = collection.dimensions
                return collection
        return None

    async def for_writing(self, table: IndexTable, dimensions: int) -> Collection:
        """Where rows of the table are, or shall be. Raises KnowledgeError where its vectors have another length."""
        collection = await self.holding(table)
        if collection is None:
            collection = await self._open(dimensions)
            self._places[table] = dimensions
        check_dimensions(collection, dimensions)
        return collection

    async def tables(self) -> list[IndexTable]:
        """Every table that has rows; what is none of ours is left out."""
        found: set[IndexTable] = set()
        for collection in await self.all():
            names: list[str] = []
            while True:
                others = models.Filter(must_not=[is_any("table", names)]) if names else None
                more = [str(name) for name in await collection.tally("table", others)]
                names += more
                if len(more) < FACETS_MAX:
                    break
            found |= {table for table in map(table_of, names) if table is not None}
        return sorted(found, key=lambda table: (table.knowledge_base_id, table.generation))

    def forget(self, table: IndexTable | None = None) -> None:
        """Looks again at the next call: where a table lies, or, behind a failure, whether anything is as it was."""
        if table is None:
            self._known.clear()
            self._places.clear()
            self._is_version_checked = False
        else:
            self._places.pop(table, None)

    async def _open(self, dimensions: int) -> Collection:
        """Creates it if need be, and adds the indices that are missing: its creator may have died on the way."""
        if dimensions in self._known:
            return self._known[dimensions]
        async with self._opening:
            if dimensions not in self._known:  # opened by another call, meanwhile
                if not self._is_version_checked:
                    await self.version()
                name = f"{self._prefix}-{dimensions}"
                if not await self._calls.make(lambda: self._client.collection_exists(name)):
                    await self._create(name, dimensions)
                await self._complete(name)
                self._known[dimensions] = Collection(self._client, name, dimensions, self._calls)
        return self._known[dimensions]

    async def _create(self, name: str, dimensions: int) -> None:
        try:
            await self._calls.make(
                lambda: self._client.create_collection(
                    name,
                    vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.DOT)},
                    sparse_vectors_config={TERMS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                    hnsw_config=_GRAPHS,
                )
            )
        except KnowledgeError as error:
            # Another process created it between our look and our call.
            if not (isinstance(error.__cause__, Exception) and status_of(error.__cause__) == 409):
                raise

    async def _complete(self, name: str) -> None:
        present = (await self._calls.make(lambda: self._client.get_collection(name))).payload_schema
        for field, schema in PAYLOAD_INDICES.items():
            if field not in present:
                await self._index(name, field, schema)

    async def _index(self, name: str, field: str, schema: Any) -> None:
        await self._calls.make(
            lambda: self._client.create_payload_index(name, field_name=field, field_schema=schema, wait=True)
        )

    def _dimensions_of(self, name: str) -> int | None:
        prefix, _, dimensions = name.rpartition("-")
        return int(dimensions) if prefix == self._prefix and dimensions.isdecimal() else None


def check_dimensions(collection: Collection, dimensions: int) -> None:
    """Raises KnowledgeError."""
    if dimensions != collection.dimensions:
        raise KnowledgeError(f"the table holds vectors of {collection.dimensions} dimensions, not {dimensions}")


def _numbers_of(version: str) -> tuple[int, ...]:
    """1.19.0-dev -> (1, 19, 0)."""
    core = version.partition("-")[0].split(".")
    return tuple(int(part) for part in core if part.isdecimal())
