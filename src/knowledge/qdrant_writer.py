"""Writing documents into a collection of Qdrant, and never older rows over newer ones (ADR 12, ADR 51).

The server judges an upsert row by row: one that a newer attempt wrote stays (`update_filter`). It has no transactions.
New rows come first and old ones go in the same call, so a document is never missing; for some ms a search may meet
both and answers the newer ones (`newest_of`). What no condition refuses are chunks that the newer attempt has not got;
so each writer looks again and takes out what it should not have added, and `take_out_overtaken` does it for one that
died.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final, TypeVar

from qdrant_client import models

from knowledge.errors import IndexUnavailable, Overtaken
from knowledge.index import IndexRow, IndexTable
from knowledge.qdrant_collection import Collection, deletion, is_value, up_to, within
from knowledge.qdrant_points import payload_of, point_id, point_of
from knowledge.table_names import name_of

UPSERT_ATTEMPTS_MAX: Final = 10
"""How often an upsert may find that another writer of the same document came between."""

REQUEST_BYTES_MAX: Final = 24_000_000
"""Rows of one request, by the estimate below; a server takes 32 MiB unless it is told otherwise."""
_BYTES_A_ROW: Final = 4_000
_BYTES_A_NUMBER: Final = 22
_BYTES_A_CHARACTER: Final = 6
_BYTES_A_CHARACTER_WITH_TERMS: Final = 74
"""Chinese has two terms a character, of a place and a weight each."""

_Result = TypeVar("_Result")


class QdrantWriter:
    """Writes to one table of one collection."""

    def __init__(self, collection: Collection, table: IndexTable) -> None:
        self._collection = collection
        self._table = table

    async def write(self, document_id: str, rows: Sequence[IndexRow], fence: int) -> None:
        """Makes them the only rows of the document. Raises Overtaken."""
        for attempt in range(UPSERT_ATTEMPTS_MAX):
            fences = await self.fences(document_id)
            if any(other > fence for other in fences):
                await self._collection.update([deletion(self._document(document_id, up_to(fence)))])
                raise Overtaken(f"the index holds newer rows of {document_id}")
            if attempt and fences == {fence: len(rows)}:
                return
            if attempt > 1:
                await self._collection.calls.pause(attempt)
            await self.replace(document_id, rows, fence)
        raise IndexUnavailable(f"other writers keep writing the document {document_id}")

    async def erase(self, document_id: str, fence: int | None) -> int:
        """Deletes the rows of a document, or those up to a fence; answers how many there were."""
        conditions = [] if fence is None else [up_to(fence)]
        filters = self._document(document_id, *conditions)
        erased = await self._collection.count(filters)
        if erased:
            await self._collection.update([deletion(filters)])
        return erased

    async def fences(self, document_id: str) -> dict[int, int]:
        """How many rows of the document have which fence."""
        tally = await self._collection.tally("fence", self._document(document_id))
        return {int(fence): count for fence, count in tally.items()}

    async def take_out_overtaken(self) -> None:
        """Deletes rows that writers left behind who died before they saw that they were late."""
        newest: dict[str, int] = {}
        behind: set[str] = set()
        async for records in self._collection.scroll(within(self._table), ["document_id", "fence"]):
            for record in records:
                payload = payload_of(record)
                document_id, fence = payload["document_id"], payload["fence"]
                if newest.setdefault(document_id, fence) != fence:
                    behind.add(document_id)
                newest[document_id] = max(newest[document_id], fence)
        for document_id in sorted(behind):
            await self.erase(document_id, newest[document_id] - 1)

    async def forget_fences(self) -> None:
        """What is older than other rows of its document goes first: afterwards nobody could tell."""
        await self.take_out_overtaken()
        fenced = within(self._table, models.FieldCondition(key="fence", range=models.Range(gt=0)))
        forgotten = models.SetPayload(payload={"fence": 0}, filter=fenced)
        await self._collection.update([models.SetPayloadOperation(set_payload=forgotten)])

    async def replace(self, document_id: str, rows: Sequence[IndexRow], fence: int) -> None:
        """One round without a look before or behind it: rows of newer attempts stay, beside what those have not got."""
        table = name_of(self._table)
        own: list[models.ExtendedPointId] = [point_id(table, document_id, row.chunk.chunk_id) for row in rows]
        rest = deletion(self._document(document_id, up_to(fence), but=models.HasIdCondition(has_id=own)))
        parts = list(parts_of(rows))
        for place, part in enumerate(parts, start=1):
            points = [point_of(table, row, fence) for row in part]
            upsert = models.PointsList(points=points, update_filter=within(self._table, up_to(fence)))
            is_last = place == len(parts)
            await self._collection.update([models.UpsertOperation(upsert=upsert), *([rest] if is_last else [])])

    def _document(
        self, document_id: str, *more: models.Condition, but: models.Condition | None = None
    ) -> models.Filter:
        return within(self._table, is_value("document_id", document_id), *more, but=but)


async def to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """What writing answers; where the caller is cancelled, it ends behind that: half of it would leave rows without the
    second look, and a request that is under way cannot be taken back."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: the caller is gone
        raise


def parts_of(rows: Sequence[IndexRow]) -> Iterator[list[IndexRow]]:
    """As many at a time as one request may hold, at least one."""
    part: list[IndexRow] = []
    size = 0
    for row in rows:
        if part and size + _bytes_of(row) > REQUEST_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(row)
        size += _bytes_of(row)
    if part:
        yield part


def _bytes_of(row: IndexRow) -> int:
    """More than it takes as JSON, metadata of usual size included."""
    return (
        _BYTES_A_ROW
        + _BYTES_A_NUMBER * len(row.vector)
        + _BYTES_A_CHARACTER_WITH_TERMS * len(row.chunk.text)
        + _BYTES_A_CHARACTER * len(row.chunk.context)
    )
