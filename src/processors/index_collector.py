"""Takes rows out of the index whose documents are erased or unknown, and tables of knowledge bases that are deleted.

Rows come behind the acceptance of their document, and leave before its erasure is a fact. So rows without a document
were written by somebody who was taken for dead, behind the erasure, or by one whose facts the log has lost.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from domain.knowledge_base import ActiveKnowledgeBase, DeletedKnowledgeBase, KnowledgeBaseState
from events.document import DocumentErased
from events.errors import InvalidId
from events.ids import parse_document_id, parse_knowledge_base_id
from events.log import EventLog
from knowledge.index import CollectableIndex, IndexTable
from processors.collected import Tallied
from processors.knowledge_bases import KnowledgeBases

PAGE_DOCUMENTS: Final = 500


class IndexCollector:
    """As Collector, for the index."""

    def __init__(
        self,
        log: EventLog,
        index: CollectableIndex,
        known: KnowledgeBases,
        *,
        as_of: datetime,
        grace: timedelta,
        dry_run: bool,
    ) -> None:
        self._log = log
        self._index = index
        self._known = known
        self._as_of = as_of
        self._grace = grace
        self._dry_run = dry_run

    async def run(self, tallied: Tallied) -> None:
        """Raises what index and log raise."""
        for table in await self._index.tables():
            match await self._owner(table):
                case ActiveKnowledgeBase() as known if table.generation not in {known.generation, known.building}:
                    if table.generation <= known.started and self._is_old(known.switched_at_us):
                        await self._drop(table, tallied)
                case ActiveKnowledgeBase():
                    await self._collect_rows(table, tallied)
                case DeletedKnowledgeBase(deleted_at_us=at_us):
                    if self._is_old(at_us):
                        await self._drop(table, tallied)
                case _:
                    tallied.add(tables_left=1)

    async def _owner(self, table: IndexTable) -> KnowledgeBaseState | None:
        """None for a table that is not this installation's."""
        try:
            return await self._known.state(parse_knowledge_base_id(table.knowledge_base_id))
        except InvalidId:
            return None

    async def _drop(self, table: IndexTable, tallied: Tallied) -> None:
        if not self._dry_run:
            await self._index.drop(table)
        tallied.add(tables_dropped=1)

    async def _collect_rows(self, table: IndexTable, tallied: Tallied) -> None:
        before: frozenset[str] = frozenset()  # rows of a document lie together, but parts end where they end
        async for documents in self._index.documents(table):
            new = [one for one in documents if one not in before]
            before = frozenset(documents)
            for first in range(0, len(new), PAGE_DOCUMENTS):
                for document in await self._without_a_right(new[first : first + PAGE_DOCUMENTS]):
                    if not self._dry_run:
                        await self._index.erase(table, document)
                    tallied.add(documents_unindexed=1)

    async def _without_a_right(self, documents: Sequence[str]) -> list[str]:
        ours = [one for one in documents if _is_document(one)]
        versions = await self._log.versions(ours)
        return [one for one, version in zip(ours, versions, strict=True) if await self._has_none(one, version)]

    async def _has_none(self, document: str, version: int) -> bool:
        if version == 0:
            return True
        last = await self._log.history(document, after_version=version - 1)
        return bool(last) and isinstance(last[-1].event, DocumentErased) and self._is_old(last[-1].recorded_at_us)

    def _is_old(self, at_us: int) -> bool:
        return self._as_of.timestamp() * 1_000_000 - at_us > self._grace / timedelta(microseconds=1)


def _is_document(name: str) -> bool:
    try:
        parse_document_id(name)
    except InvalidId:
        return False
    return True
