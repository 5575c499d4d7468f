"""As things stood: everything folded up to a moment, which is a time or a position.

The clock of the log counts (the time within a position), not the writers' clocks: it never goes back, so that the facts
up to a moment are the front of each partition's log, and a state that really was.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from domain.counts import Counts
from domain.document_phase import document_phase
from domain.instant import EPOCH
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import task_phase
from domain.task import UnknownTask
from events.envelope import Envelope, Position
from events.errors import InvalidId
from events.ids import KnowledgeBaseId
from events.log import EventLog, Unreadable
from projections import knowledge_bases
from projections.building import check_dense
from projections.documents import DocumentRow
from projections.errors import InvalidMoment, RebuildRefused
from projections.knowledge_bases import KnowledgeBaseRow
from projections.progress import Progress, Tell, silent
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS
from projections.projector import PAGE_EVENTS
from projections.rows import decode_row
from projections.tasks import TaskRow, counts_seen
from projections.views import GENERATION_FIRST, Lease, ViewStore
from projections.writer import CACHED_ROWS_MAX, LEASE_MS, Writer

LAST_SEQUENCE: Final = 2**64 - 1

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
"""Looks like a position and is a time that lacks its hour."""

_Instant = Annotated[datetime, Meta(tz=True)]


class Moment(msgspec.Struct, frozen=True, order=True):
    """The end of all entries of the log up to a time (unix ms) and, within it, a sequence."""

    ms: int
    sequence: int = LAST_SEQUENCE

    def is_past(self, entry: Envelope | Unreadable) -> bool:
        """Whether the entry came later; whatever came from a log has its place there."""
        position = entry.position or Position(0, 0, 0)
        return (position.ms, position.sequence) > (self.ms, self.sequence)


class StatusesAsOf(msgspec.Struct, frozen=True, kw_only=True):
    """What there was then: how many facts, documents and tasks by status, and each knowledge base with its counters."""

    events: int
    documents: Mapping[str, int]
    tasks: Mapping[str, int]
    knowledge_bases: tuple[KnowledgeBaseStatus, ...]


def parse_moment(text: str) -> Moment:
    """A position (`1-1700000000000-0`), or a time in RFC 3339 with its offset. Raises InvalidMoment."""
    try:
        position = Position.parse("" if _DATE.fullmatch(text) else text)
    except InvalidId:
        # A plus sign that nobody escaped arrives as a blank.
        return _moment_of_time(text.replace(" ", "+"))
    return Moment(position.ms, position.sequence)


def _moment_of_time(text: str) -> Moment:
    try:
        return Moment((msgspec.convert(text, _Instant) - EPOCH) // timedelta(milliseconds=1))
    except (msgspec.ValidationError, OverflowError):
        raise InvalidMoment("a time like 2026-11-23T08:00:00Z or a position like 1-1700000000000-0") from None


async def statuses_as_of(
    event_log: EventLog, empty_views: ViewStore, moment: Moment, *, tell: Tell = silent
) -> StatusesAsOf:
    """Folds every partition into views that nobody else uses. Raises RebuildRefused and what the log raises."""
    events = 0
    documents: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    bases: list[KnowledgeBaseStatus] = []
    for partition in range(event_log.partitions):
        events += await fold_as_of(event_log, empty_views, partition, moment, tell=tell)
        documents += await _documents(empty_views, partition)
        tasks += await _tasks(empty_views, partition)
        bases += await _knowledge_bases(empty_views, partition)
    bases.sort(key=lambda one: (one.created_at, one.knowledge_base_id))
    return StatusesAsOf(
        events=events,
        documents=dict(sorted(documents.items())),
        tasks=dict(sorted(tasks.items())),
        knowledge_bases=tuple(bases),
    )


async def fold_as_of(
    event_log: EventLog, empty_views: ViewStore, partition: int, moment: Moment, *, tell: Tell = silent
) -> int:
    """Folds one partition up to the moment; answers how many entries that were."""
    lease = await empty_views.acquire(partition, GENERATION_FIRST, holder="as of", lease_ms=LEASE_MS)
    if not isinstance(lease, Lease):
        raise RebuildRefused("somebody else uses these views")
    writer = Writer(empty_views, lease, announces=False, rows_max=CACHED_ROWS_MAX)
    total = (await event_log.head(partition)).number
    while page := await event_log.read(partition, after=writer.lease.checkpoint.position, limit=PAGE_EVENTS):
        check_dense(page, writer.lease.checkpoint.number)
        wanted = [entry for entry in page if not moment.is_past(entry)]
        if wanted and not await writer.write(wanted):
            raise RebuildRefused("somebody else uses these views")
        tell(Progress(writer.lease.checkpoint.number, total))
        if len(wanted) < len(page):
            break
    return writer.lease.checkpoint.number


async def _documents(views: ViewStore, partition: int) -> Counter[str]:
    found: Counter[str] = Counter()
    async for _, payload in views.scan_rows(partition, GENERATION_FIRST, DOCUMENTS):
        row = decode_row(DOCUMENTS, payload)
        if isinstance(row, DocumentRow):
            found[document_phase(row.folded.state).value] += 1
    return found


async def _tasks(views: ViewStore, partition: int) -> Counter[str]:
    found: Counter[str] = Counter()
    async for _, payload in views.scan_rows(partition, GENERATION_FIRST, TASKS):
        row = decode_row(TASKS, payload)
        if isinstance(row, TaskRow) and not isinstance(row.folded.state, UnknownTask):
            counts: Counts = counts_seen(row.folded.state, row.counts)
            found[task_phase(row.folded.state, counts).value] += 1
    return found


async def _knowledge_bases(views: ViewStore, partition: int) -> list[KnowledgeBaseStatus]:
    found = []
    async for row_id, payload in views.scan_rows(partition, GENERATION_FIRST, KNOWLEDGE_BASES):
        row = decode_row(KNOWLEDGE_BASES, payload)
        if isinstance(row, KnowledgeBaseRow):
            status = knowledge_bases.status_of(KnowledgeBaseId(row_id), row)
            if status is not None:
                found.append(status)
    return found
