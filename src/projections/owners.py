"""Which knowledge base a stream belongs to: an event alone does not tell it, and it never changes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from domain.document import Unknown
from domain.task import UnknownTask
from events.document import DocumentAccepted, DocumentRequested, DocumentSkipped
from events.envelope import Envelope
from events.ids import KnowledgeBaseId, StreamKind, kind_of
from events.log import EventLog
from events.task import TaskSubmitted
from projections.documents import DocumentRow, knowledge_base_of
from projections.on_demand import gathered
from projections.projection import DOCUMENTS, TASKS, Table
from projections.rows import Row, decode_row
from projections.tasks import TaskRow
from projections.views import ViewStore

REMEMBERED_MAX: Final = 50_000
"""Streams, about 250 bytes each."""


class Owners:
    """Raises what log and views raise."""

    def __init__(self, event_log: EventLog, views: ViewStore, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._log = event_log
        self._views = views
        self._remembered_max = remembered_max
        self._known: OrderedDict[str, KnowledgeBaseId | None] = OrderedDict()

    async def of(self, partition: int, envelopes: Sequence[Envelope]) -> dict[str, KnowledgeBaseId | None]:
        """The owner of each event's stream, None for one that no program of this version can tell."""
        for envelope in envelopes:
            match envelope.event:
                case DocumentAccepted(knowledge_base_id=owner) | DocumentRequested(knowledge_base_id=owner):
                    self._known[envelope.stream_id] = owner
                case DocumentSkipped(knowledge_base_id=owner) | TaskSubmitted(knowledge_base_id=owner):
                    self._known[envelope.stream_id] = owner
                case _ if kind_of(envelope.stream_id) is StreamKind.KNOWLEDGE_BASE:
                    self._known[envelope.stream_id] = KnowledgeBaseId(envelope.stream_id)
        streams = {envelope.stream_id for envelope in envelopes}
        for table in (DOCUMENTS, TASKS):
            await self._ask_views(partition, table, self._missing(streams))
        missing = self._missing(streams)
        self._known.update(zip(missing, await gathered(missing, self._ask_history), strict=True))
        found = {stream: self._known[stream] for stream in streams}
        for stream in streams:
            self._known.move_to_end(stream)
        while len(self._known) > self._remembered_max:
            self._known.popitem(last=False)
        return found

    def _missing(self, streams: Iterable[str]) -> list[str]:
        return sorted(stream for stream in streams if stream not in self._known)

    async def _ask_views(self, partition: int, table: Table, streams: list[str]) -> None:
        wanted = [stream for stream in streams if kind_of(stream) is table.kind]
        payloads = await self._views.rows(partition, table, wanted) if wanted else []
        for stream, payload in zip(wanted, payloads, strict=True):
            owner = None if payload is None else _owner_of(decode_row(table, payload))
            if owner is not None:
                self._known[stream] = owner

    async def _ask_history(self, stream: str) -> KnowledgeBaseId | None:
        """What the views have not come to yet, or hold no longer."""
        history = await self._log.history(stream)
        owner = getattr(history[0].event, "knowledge_base_id", None) if history else None
        return None if owner is None else KnowledgeBaseId(owner)


def _owner_of(row: Row) -> KnowledgeBaseId | None:
    match row:
        case DocumentRow():
            state = row.folded.state
            return None if isinstance(state, Unknown) else knowledge_base_of(state)
        case TaskRow():
            task = row.folded.state
            return None if isinstance(task, UnknownTask) else task.submitted.knowledge_base_id
        case _:
            return None
