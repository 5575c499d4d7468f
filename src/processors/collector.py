"""Deletes what no document needs: blobs, writers' remains, rows of the index. A page at a time; it may be repeated,
and be broken off anywhere.

What it may delete is decided in orphans.py, on what the log says at that moment. Run it while nobody else does, and on
a log that has lost nothing, or behind a reconciliation: it would take what a log has forgotten for what never was.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

import structlog

from blobs.errors import BlobMissing
from blobs.store import BlobInfo, CollectableBlobs
from domain.knowledge_base import UnknownKnowledgeBase
from domain.sidecar import decode_sidecar, lies_beside, sidecar_carriers
from events.envelope import Envelope
from events.errors import ArchiveRefused, CorruptEvent, InvalidId, SegmentDamaged, VersionGap
from events.failpoints import Place, failpoint
from events.ids import partition_of
from events.log import EventLog
from knowledge.index import CollectableIndex
from processors.collected import Collected, Tallied
from processors.index_collector import IndexCollector
from processors.knowledge_bases import KnowledgeBases
from processors.orphans import Claim, Orphan, Reason, document_of, is_old, orphans_of_known, orphans_of_unknown
from processors.request_collector import RequestCollector

PAGE_DOCUMENTS: Final = 500
"""Documents that are looked up together: two round trips, and at most some MB of listing held in memory."""

IN_FLIGHT_MAX: Final = 16
"""Histories read, or blobs deleted, at a time: a collection must not be felt by those who upload."""

R = TypeVar("R")
T = TypeVar("T")

_log = structlog.get_logger()

Documents = dict[str, list[BlobInfo]]


class Collector:
    """Blobs and rows that were younger than `grace` at `as_of` (aware UTC) are left alone; `dry_run` only counts.

    Where a reconciliation goes before, `as_of` is no later than its beginning: what it found too young must not have
    grown old enough meanwhile.
    """

    def __init__(
        self,
        log: EventLog,
        blobs: CollectableBlobs,
        index: CollectableIndex,
        *,
        as_of: datetime,
        grace: timedelta,
        dry_run: bool = False,
        page_documents: int = PAGE_DOCUMENTS,
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._as_of = as_of
        self._grace = grace
        self._dry_run = dry_run
        self._page_documents = page_documents
        self._known = KnowledgeBases(log, clock_us=lambda: time.time_ns() // 1_000)
        self._index = IndexCollector(log, index, self._known, as_of=as_of, grace=grace, dry_run=dry_run)
        self._requests = RequestCollector(log, blobs, self._known, as_of=as_of, grace=grace, dry_run=dry_run)
        self._tallied = Tallied(dry_run=dry_run)

    async def run(self) -> Collected:
        """Raises what blobs, index and log raise; what was done until then stays done."""
        began_s = time.monotonic()
        async for page in self._pages():
            await self._collect(page)
        if not self._dry_run:
            aborted = await self._blobs.abort_abandoned_uploads(older_than=self._grace, now=self._as_of)
            self._tallied.add(uploads_aborted=aborted)
        await self._requests.run(self._tallied)
        await self._index.run(self._tallied)
        collected = self._tallied.done(time.monotonic() - began_s)
        _log.info("collected", **{name: getattr(collected, name) for name in collected.__struct_fields__})
        return collected

    async def _pages(self) -> AsyncIterator[Documents]:
        """Each document with all its blobs: a listing is in order, so that they come together."""
        page: Documents = {}
        async for info in self._blobs.list("documents/"):
            document = document_of(info.key)
            if document is None or partition_of(document) >= self._log.partitions:
                self._tallied.add(foreign=1)
                continue
            if document not in page and len(page) == self._page_documents:
                yield page
                page = {}
            page.setdefault(document, []).append(info)
        if page:
            yield page

    async def _collect(self, page: Documents) -> None:
        self._tallied.add(documents=len(page), blobs=sum(map(len, page.values())))
        aged = {
            document: blobs
            for document, blobs in page.items()
            if any(is_old(blob, now=self._as_of, grace=self._grace) for blob in blobs)
        }
        found = await gathered(aged.items(), lambda item: self._orphans_of(*item))
        orphans = {document: some for document, some in zip(aged, found, strict=True) if some}
        failpoint(Place.COLLECTOR_LISTED)
        await gathered(orphans.items(), lambda item: self._delete(*item))
        failpoint(Place.COLLECTOR_DELETED)

    async def _orphans_of(self, document: str, blobs: Sequence[BlobInfo]) -> list[Orphan]:
        history = await self._history(document)
        if history is None:
            return []
        if history:
            return orphans_of_known(blobs, history, now=self._as_of, grace=self._grace)
        claim = await self._claim(blobs)
        if claim is Claim.OPEN:
            self._tallied.add(left=1)
        return orphans_of_unknown(blobs, claim, now=self._as_of, grace=self._grace)

    async def _history(self, document: str) -> list[Envelope] | None:
        """None where it cannot be read whole: then nothing of the document is touched."""
        try:
            return await self._log.history(document)
        except (CorruptEvent, VersionGap, SegmentDamaged, ArchiveRefused) as error:
            _log.warning("collector_leaves", document=document, reason=str(error))
            self._tallied.add(left=1)
            return None

    async def _claim(self, blobs: Sequence[BlobInfo]) -> Claim:
        claims = [await self._claim_of(key) for key in sidecar_carriers({blob.key for blob in blobs})]
        return next((claim for claim in (Claim.OPEN, Claim.REFUSED) if claim in claims), Claim.NONE)

    async def _claim_of(self, key: str) -> Claim:
        try:
            content = await (self._blobs.get(key) if lies_beside(key) else self._blobs.metadata(key))
        except BlobMissing:
            return Claim.NONE
        read = None if content is None else decode_sidecar(key, content)
        if read is None:
            return Claim.NONE
        try:
            known = await self._known.state(read.accept.knowledge_base_id)
        except InvalidId:
            return Claim.OPEN
        return Claim.OPEN if isinstance(known, UnknownKnowledgeBase) else Claim.REFUSED

    async def _delete(self, document: str, orphans: Sequence[Orphan]) -> None:
        """The log is asked once more, right before: an upload that took its time may have been accepted meanwhile."""
        if orphans[0].reason is Reason.NEVER_ACCEPTED and (await self._log.versions([document]))[0] > 0:
            return
        for orphan in orphans:
            if not self._dry_run:
                await self._blobs.delete(orphan.blob.key)
            self._tallied.add_orphan(orphan.reason.value, orphan.blob.size_bytes)


async def gathered(items: Iterable[T], call: Callable[[T], Awaitable[R]]) -> list[R]:
    """The answers in order, a bounded number of calls at a time."""
    rest, answers = iter(items), list[R]()
    while some := list(islice(rest, IN_FLIGHT_MAX)):
        answers += await asyncio.gather(*map(call, some))
    return answers
