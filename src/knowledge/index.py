"""The index of passages: one table for each knowledge base and generation. Protocol and rows."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
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


class Match(msgspec.Struct, frozen=True):
    """A row that was found and not read yet: `row` names it to the reader that found it.

    `score` is a cosine (-1 to 1) or a BM25 score (above 0), higher is better. `similarity` is the cosine with the
    vector that a search by words was given besides; None without one.
    """

    row: str
    score: float
    similarity: float | None = None


class Hit(msgspec.Struct, frozen=True):
    """What a row says that was found."""

    document_id: str
    filename: str
    chunk: Chunk
    metadata: Mapping[str, Scalar]


class TableReader(Protocol):
    """One table as it is at one moment: what is found there can be read, whatever is written meanwhile.

    Fusing wants the scores of hundreds of rows and an answer the text of ten, so finding and reading are two calls.
    Every method raises IndexUnavailable where the store fails.
    """

    async def by_vector(self, vector: Vectors, *, limit: int, filters: Filter = EVERYTHING) -> list[Match]:
        """The rows nearest to the unit vector among those that pass, best first."""

    async def by_words(
        self,
        query: str,
        *,
        limit: int,
        filters: Filter = EVERYTHING,
        similar_to: asyncio.Future[Vectors | None] | None = None,
    ) -> list[Match]:
        """The rows with the highest BM25 score among those that pass and hold a term, best first.

        With `similar_to` each match also says how near it is to that vector: fusing needs both scores of a hit. It may
        come while words are being looked for; None is none after all, and what it raises is raised.
        """

    async def read(self, matches: Sequence[Match]) -> list[Hit]:
        """The rows of matches of this reader, in their order."""

    async def chunks(self, places: Collection[Place]) -> dict[Place, Chunk]:
        """The chunks that stand at these places; where there is none, nothing."""


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

    def reading(self, table: IndexTable) -> AbstractAsyncContextManager[TableReader]:
        """Reads the table as it is now; of one that does not exist nothing is found."""

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
