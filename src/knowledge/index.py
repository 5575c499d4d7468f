"""The index of passages: one table for each knowledge base and generation. Protocol and rows."""

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from knowledge.chunk import Chunk
from knowledge.errors import KnowledgeError
from knowledge.filters import EVERYTHING, Filter, Scalar
from knowledge.neighbours import Place
from knowledge.vectors import Vectors

VECTOR_KEY_CHARS: Final = 32


class IndexTable(msgspec.Struct, frozen=True):
    """Which table: another embedding model or another chunking makes another generation beside the live one."""

    knowledge_base_id: str
    generation: int


class IndexRow(msgspec.Struct, frozen=True):
    """One chunk as it enters the index; `vector` has length 1 and the dimensions of the table's other rows."""

    document_id: str
    filename: str
    chunk: Chunk
    vector: Vectors
    metadata: Mapping[str, Scalar] = {}
    vector_key: str = ""
    """What the vector was made of (`vector_key_of`), for those who need the same one; empty keeps it to the row."""


class Hit(msgspec.Struct, frozen=True):
    """One row that was found; `score` is a cosine (-1 to 1) or a BM25 score (above 0), higher is better.

    `similarity` is the cosine with the vector that a search by words was given besides; None without one.
    """

    document_id: str
    filename: str
    chunk: Chunk
    metadata: Mapping[str, Scalar]
    score: float
    similarity: float | None = None


class Index(Protocol):
    """Rows by document, searched by vector and by words; shared by many processes.

    A row is found as soon as the call that wrote it returns, by every process. Reading or erasing in a table that
    does not exist finds nothing. Every method raises IndexUnavailable where the store fails; a later try may work.
    """

    async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
        """Makes `rows` the only rows of the document, creating the table if need be; returns how many there are.

        Idempotent, and safe beside other writers. A search meets old rows or new ones. `fence` is a number that grows
        with each attempt at the document: rows of a higher one stay, and Overtaken is raised. Raises KnowledgeError
        where a row belongs to another document, a chunk id comes twice, or a vector has not the table's dimensions.
        """

    async def erase(self, table: IndexTable, document_id: str, *, fence: int | None = None) -> int:
        """Removes all rows of the document, or those up to a fence; returns how many there were."""

    async def vectors(self, table: IndexTable, keys: Collection[str]) -> dict[str, Vectors]:
        """The vectors of rows with these vector keys, of any document; what is not found may be there nevertheless."""

    async def count(self, table: IndexTable, document_id: str | None = None) -> int:
        """How many rows the table, or one document in it, has."""

    async def fence(self, table: IndexTable, document_id: str) -> int | None:
        """The highest fence among the rows of the document; None where it has none."""

    async def drop(self, table: IndexTable) -> None:
        """Removes the table, if it exists."""

    async def search_vector(
        self, table: IndexTable, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING
    ) -> list[Hit]:
        """The rows nearest to the unit vector among those that pass, best first; ties by chunk id."""

    async def search_keyword(
        self,
        table: IndexTable,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: Vectors | None = None,
    ) -> list[Hit]:
        """The rows with the highest BM25 score among those that pass and hold a term, best first.

        With `similar_to` each hit also says how near it is to that vector: fusing needs both scores of a hit.
        """

    async def chunks(self, table: IndexTable, places: Collection[Place]) -> dict[Place, Chunk]:
        """The chunks that stand at these places; where there is none, nothing."""

    async def optimize(self, table: IndexTable) -> None:
        """Compacts and indexes what was written since; needed for speed, never for finding."""

    async def forget_fences(self, table: IndexTable) -> None:
        """Every row may be replaced by any attempt from now on: for a log that counts versions anew. Nobody may be
        writing meanwhile."""

    async def check(self) -> None:
        """Returns where the store can be reached, else raises IndexUnavailable."""

    async def close(self) -> None:
        """Gives back handles; the index cannot be used afterwards."""


class CollectableIndex(Index, Protocol):
    """An index that tells what lies in it, for those who look for what should not."""

    async def tables(self) -> list[IndexTable]:
        """Every table there is; what is none of ours is left out."""

    def documents(self, table: IndexTable) -> AsyncIterator[list[str]]:
        """The documents that have rows in the table, a part at a time; one may come in several parts."""


def vector_key_of(model: str, dimensions: int, text: str) -> str:
    """32 hex digits of SHA-256: the same for the same text, prefix included, under the same model."""
    digest = hashlib.sha256(f"{model}\0{dimensions}\0{text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:VECTOR_KEY_CHARS]


def check_rows(document_id: str, rows: Sequence[IndexRow]) -> None:
    """Raises KnowledgeError where `rows` cannot be the rows of one document; every implementation calls it first."""
    if any(row.document_id != document_id for row in rows):
        raise KnowledgeError(f"a row of another document among those of {document_id}")
    if len({row.chunk.chunk_id for row in rows}) != len(rows):
        raise KnowledgeError(f"a chunk id comes twice among the rows of {document_id}")
    if len({row.vector.shape for row in rows}) > 1 or any(row.vector.ndim != 1 for row in rows):
        raise KnowledgeError(f"the vectors of {document_id} differ in length")
