"""The reader of a table that does not exist: nothing is found in it."""

import asyncio
from collections.abc import Collection, Sequence

from knowledge.chunk import Chunk
from knowledge.filters import EVERYTHING, Filter
from knowledge.index import Hit, Match
from knowledge.neighbours import Place
from knowledge.vectors import Vectors


class EmptyTable:
    """A `TableReader`."""

    async def by_vector(
        self,
        vector: Vectors,  # noqa: ARG002
        *,
        limit: int,  # noqa: ARG002
        filters: Filter = EVERYTHING,  # noqa: ARG002
    ) -> list[Match]:
        return []

    async def by_words(
        self,
        query: str,  # noqa: ARG002
        *,
        limit: int,  # noqa: ARG002
        filters: Filter = EVERYTHING,  # noqa: ARG002
        similar_to: asyncio.Future[Vectors | None] | None = None,  # noqa: ARG002
    ) -> list[Match]:
        return []

    async def read(self, matches: Sequence[Match]) -> list[Hit]:  # noqa: ARG002
        return []

    async def chunks(self, places: Collection[Place]) -> dict[Place, Chunk]:  # noqa: ARG002
        return {}
