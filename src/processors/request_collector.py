"""Deletes sidecars of imports that nobody needs any more: the archive says the same, or nothing follows from them.

Like the collector, on a log that has lost nothing, or behind a reconciliation.
"""

from datetime import datetime, timedelta
from typing import Final

from blobs.errors import BlobMissing
from blobs.store import BlobInfo, BlobStore
from domain.knowledge_base import UnknownKnowledgeBase
from domain.request_sidecar import REQUESTS, decode_request_sidecar, task_of_request_sidecar
from events.errors import InvalidId
from events.ids import TaskId, partition_of
from events.log import EventLog
from processors.collected import Tallied
from processors.knowledge_bases import KnowledgeBases
from processors.orphans import Reason

GRACES_KEPT: Final = 7
"""A week, as a rule: by then the facts have long been in the archive."""


class RequestCollector:
    """`as_of` and `grace` as the Collector's."""

    def __init__(
        self,
        log: EventLog,
        blobs: BlobStore,
        known: KnowledgeBases,
        *,
        as_of: datetime,
        grace: timedelta,
        dry_run: bool,
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._known = known
        self._stored_before = as_of - GRACES_KEPT * grace
        self._dry_run = dry_run

    async def run(self, tallied: Tallied) -> None:
        """Raises what blobs and log raise; what was done until then stays done."""
        async for info in self._blobs.list(REQUESTS):
            task = task_of_request_sidecar(info.key)
            if task is None or partition_of(task) >= self._log.partitions:
                tallied.add(foreign=1)
            elif info.modified_at < self._stored_before:
                await self._judge(info, task, tallied)

    async def _judge(self, info: BlobInfo, task: TaskId, tallied: Tallied) -> None:
        is_in_log = (await self._log.versions([task]))[0] > 0
        if not is_in_log and await self._may_still_be_asked_for(info.key):
            tallied.add(left=1)
            return
        if not self._dry_run:
            await self._blobs.delete(info.key)
        tallied.add_orphan((Reason.RECORDED if is_in_log else Reason.NEVER_ACCEPTED).value, info.size_bytes)

    async def _may_still_be_asked_for(self, key: str) -> bool:
        """Where the log does not know the knowledge base it may have lost more, or this is another's blob store."""
        try:
            read = decode_request_sidecar(key, await self._blobs.get(key))
            if read is None:
                return False
            return isinstance(await self._known.state(read.submit.knowledge_base_id), UnknownKnowledgeBase)
        except BlobMissing:
            return False
        except InvalidId:
            return True
