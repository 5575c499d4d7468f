"""One collection of a Qdrant server: the calls that the index makes, each bounded to one table.

Rows of all knowledge bases whose vectors have the same length lie in one collection, as Qdrant advises for many
tenants: a collection costs memory and files of its own. So every condition begins with the table.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, models

from knowledge.index import IndexTable
from knowledge.qdrant_faults import Calls
from knowledge.qdrant_points import DENSE
from knowledge.table_names import name_of

SCROLLED_MAX: Final = 1_000
FACETS_MAX: Final = 1_000

# Qdrant serialises writes of a shard by its one leader, so that replicas judge conditions in the same order.
_ORDERING: Final = models.WriteOrdering.STRONG


def within(table: IndexTable, *more: models.Condition, but: models.Condition | None = None) -> models.Filter:
    """Rows of the table that fulfil all conditions, and not `but`."""
    must: list[models.Condition] = [is_value("table", name_of(table)), *more]
    return models.Filter(must=must, must_not=None if but is None else [but])


def is_value(key: str, value: str | int) -> models.FieldCondition:
    """The payload holds this value."""
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def is_any(key: str, values: Sequence[str] | Sequence[int]) -> models.FieldCondition:
    """The payload holds one of these values."""
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))  # type: ignore[arg-type]  # all str or all int


def up_to(fence: int) -> models.FieldCondition:
    """Rows of attempts that are not newer."""
    return models.FieldCondition(key="fence", range=models.Range(lte=fence))


class Collection:
    """What lies under one name; `dimensions` is the length of its vectors."""

    def __init__(self, client: AsyncQdrantClient, name: str, dimensions: int, calls: Calls) -> None:
        self.name = name
        self.dimensions = dimensions
        self.calls = calls
        self._client = client

    async def count(self, filters: models.Filter) -> int:
        """How many rows fulfil the filter, exactly."""
        found = await self.calls.make(lambda: self._client.count(self.name, count_filter=filters, exact=True))
        return found.count

    async def tally(self, key: str, filters: models.Filter | None) -> dict[str | int | bool, int]:
        """How many rows have each value of an indexed key, exactly; of more than 1,000 values the most frequent."""
        found = await self.calls.make(
            lambda: self._client.facet(self.name, key=key, facet_filter=filters, limit=FACETS_MAX, exact=True)
        )
        # The server also tells values that no row has any more.
        return {hit.value: hit.count for hit in found.hits if hit.count}

    async def scroll(self, filters: models.Filter, fields: list[str]) -> AsyncIterator[list[models.Record]]:
        """All rows that fulfil the filter, up to 1,000 at a time."""
        offset: Any = None
        while True:
            found, offset = await self._page(filters, fields, SCROLLED_MAX, offset=offset)
            yield found
            if offset is None:
                return

    async def some(self, filters: models.Filter, fields: list[str], limit: int) -> list[models.Record]:
        """No more of them than the limit, with their vectors."""
        found, _ = await self._page(filters, fields, limit, vectors=[DENSE])
        return found

    async def _page(
        self, filters: models.Filter, fields: list[str], limit: int, *, offset: Any = None, vectors: Any = False
    ) -> tuple[list[models.Record], Any]:
        return await self.calls.make(
            lambda: self._client.scroll(
                self.name,
                scroll_filter=filters,
                limit=limit,
                offset=offset,
                with_payload=fields,
                with_vectors=vectors,
            )
        )

    async def query(self, requests: list[models.QueryRequest]) -> list[list[models.ScoredPoint]]:
        """Several searches in one call."""
        found = await self.calls.make(lambda: self._client.query_batch_points(self.name, requests))
        return [one.points for one in found]

    async def update(self, operations: list[models.UpdateOperation]) -> None:
        """Carried out one after the other, and seen by every reader once this returns."""
        await self.calls.make(
            lambda: self._client.batch_update_points(self.name, operations, wait=True, ordering=_ORDERING)
        )


def deletion(filters: models.Filter) -> models.DeleteOperation:
    """Removes rows."""
    return models.DeleteOperation(delete=models.FilterSelector(filter=filters))
