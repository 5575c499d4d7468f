"""A task's history: its own facts and those of its documents while they were its own, in the order of the log."""

from datetime import datetime
from typing import Any

import msgspec

from domain.counts import task_of
from domain.errors import RefusalCode, Refused
from domain.status import TaskStatus, utc
from events.envelope import Envelope, Position, UnknownEvent
from events.facts_by_name import shown
from events.ids import TaskId
from events.log import EventLog
from projections import tasks
from projections.as_of import Moment
from projections.batch import Batch
from projections.cursors import Cursors
from projections.documents import NEW
from projections.lists import LIMIT_DEFAULT, Listing
from projections.on_demand import histories
from projections.projection import TASKS, RowKey
from projections.queries import Queries
from projections.rows import DOCUMENT_PROJECTION
from projections.tasks import TaskRow


class RecordedFact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact as a client sees it. `cause` is the id of the event that led here, `data` the fact's own fields.

    A fact from the future has no data, but its place.
    """

    event_id: str
    type: str
    stream_id: str
    version: int
    position: str | None
    recorded_at: datetime
    actor: str | None
    cause: str | None
    data: dict[str, Any]


class TaskAsOf(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was told at a moment; `facts` of its history were known then, the last at `position`."""

    position: str
    facts: int
    task: TaskStatus


class TaskHistory:
    """Raises Refused, InvalidId, InvalidCursor, and what the log raises."""

    def __init__(self, event_log: EventLog, queries: Queries, cursors: Cursors) -> None:
        self._log = event_log
        self._queries = queries
        self._cursors = cursors

    async def facts(
        self, task: TaskId, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None
    ) -> Listing[RecordedFact]:
        """Facts never move or vanish, so a cursor is good for ever; `total` grows."""
        scope = f"{task}/events"
        after = None if cursor is None else Position.parse(self._cursors.open(scope, cursor))
        envelopes = await self._envelopes(task)
        rest = envelopes if after is None else [one for one in envelopes if _place(one) > after]
        page = rest[:limit]
        next_cursor = self._cursors.seal(scope, str(_place(page[-1]))) if len(rest) > limit else None
        return Listing(tuple(map(recorded_fact, page)), len(envelopes), next_cursor)

    async def as_of(self, task: TaskId, moment: Moment) -> TaskAsOf:
        """The status that a client would have seen. Refused where the task was not there yet."""
        of_task, histories_of_documents = await self._histories(task)
        own = [one for one in of_task if not moment.is_past(one)]
        known = [[one for one in history if not moment.is_past(one)] for history in histories_of_documents]
        batch = Batch([*own, *(one for history in known for one in history)])
        batch.fold_documents({})
        row = batch.fold_counts({}).rows.get(RowKey(TASKS, task))
        status = tasks.status_of(task, row) if isinstance(row, TaskRow) else None
        if status is None:
            raise Refused(RefusalCode.UNKNOWN_TASK, "there was no task with this id then")
        facts = [*own, *(one for history in known for one in _while_of(task, history))]
        return TaskAsOf(position=str(max(map(_place, facts))), facts=len(facts), task=status)

    async def _envelopes(self, task: TaskId) -> list[Envelope]:
        own, of_documents = await self._histories(task)
        found = [*own, *(one for history in of_documents for one in _while_of(task, history))]
        return sorted(found, key=_place)

    async def _histories(self, task: TaskId) -> tuple[list[Envelope], list[list[Envelope]]]:
        """The task's own and those of its documents, whole. Raises Refused."""
        self._queries.partition_of(task)
        own = await self._log.history(task)
        if not own:
            raise Refused(RefusalCode.UNKNOWN_TASK, "there is no task with this id")
        return own, await histories(self._log, await self._queries.ids_of_task(task))


def _while_of(task: TaskId, history: list[Envelope]) -> list[Envelope]:
    row, found = NEW, []
    for envelope in history:
        row = DOCUMENT_PROJECTION.follow(row, envelope)
        if task_of(row.folded.state) == task:
            found.append(envelope)
    return found


def _place(envelope: Envelope) -> Position:
    """Events that came from the log have a place there."""
    return envelope.position or Position(0, 0, 0)


def recorded_fact(envelope: Envelope) -> RecordedFact:
    """An event as a client sees it."""
    event = envelope.event
    return RecordedFact(
        event_id=envelope.event_id,
        type=envelope.type,
        stream_id=envelope.stream_id,
        version=envelope.version,
        position=None if envelope.position is None else str(envelope.position),
        recorded_at=utc(envelope.recorded_at_us),
        actor=envelope.actor,
        cause=envelope.causation_id,
        data={} if isinstance(event, UnknownEvent) else shown(event),
    )
