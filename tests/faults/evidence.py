"""What the log says happened, read from its first event to its last and folded anew."""

from collections import Counter
from typing import Any, Final

import msgspec

from domain.decider import Decider, Folded, apply
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import Open, Removed
from domain.errors import ImpossibleEvent
from domain.task import FinishedTask
from events import document as d
from events import task as t
from events.envelope import Envelope
from events.errors import VersionGap
from events.ids import KnowledgeBaseId, StreamKind, kind_of
from events.log import EventLog, Unreadable
from events.steps import Step

ENDS: Final = (d.DocumentIndexed, d.DocumentFailed, d.DocumentCancelled, d.DocumentSkipped)
BEGINS_AGAIN: Final = d.ReprocessingRequested
AFTER_AN_END: Final = (d.DocumentRemoved, d.DocumentErased, d.ChunkEdited)
AFTER_A_FINISH: Final = (t.TaskCancelled, t.CallbackDelivered, t.CallbackFailed)


class Evidence:
    """The whole log; `read` fills it in."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.unreadable = 0
        self.documents: dict[str, Folded[Any]] = {}
        self.tasks: dict[str, Folded[Any]] = {}
        self.knowledge_bases: dict[str, Folded[Any]] = {}
        self.starts: Counter[tuple[str, Step]] = Counter()
        self.number_gaps = 0
        self.version_gaps = 0
        self.repeated_ids = 0
        self.terminal_violations = 0
        self._event_ids: set[str] = set()
        self._ended: set[str] = set()

    @classmethod
    async def read(cls, log: EventLog) -> "Evidence":
        """From every partition."""
        evidence = cls()
        for partition in range(log.partitions):
            number, after = 0, None
            while page := await log.read(partition, after=after, limit=1_000):
                for entry in page:
                    number = evidence._count(entry, number)
                after = page[-1].position
        return evidence

    @property
    def open_documents(self) -> list[str]:
        """Those that have not come to an end, or are removed and not erased."""
        return [name for name, folded in self.documents.items() if isinstance(folded.state, Open | Removed)]

    @property
    def open_tasks(self) -> list[str]:
        return [name for name, folded in self.tasks.items() if not isinstance(folded.state, FinishedTask)]

    def of_document(self, document_id: str) -> list[Envelope]:
        """A document's history."""
        return [envelope for envelope in self.envelopes if envelope.stream_id == document_id]

    def _count(self, entry: Envelope | Unreadable, number: int) -> int:
        if isinstance(entry, Unreadable) and not entry.number:
            self.unreadable += 1  # somebody else's entry has no place among ours
            return number
        self.number_gaps += entry.number != number + 1
        if isinstance(entry, Unreadable):
            self.unreadable += 1
        else:
            self._take_in(entry)
        return entry.number or number + 1

    def _take_in(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.repeated_ids += envelope.event_id in self._event_ids
        self._event_ids.add(envelope.event_id)
        self.terminal_violations += self._leaves_an_end(envelope)
        match kind_of(envelope.stream_id):
            case StreamKind.DOCUMENT:
                self._fold(self.documents, DOCUMENT, envelope)
            case StreamKind.TASK:
                self._fold(self.tasks, TASK, envelope)
            case StreamKind.KNOWLEDGE_BASE:
                decider = knowledge_base_decider(KnowledgeBaseId(envelope.stream_id))
                self._fold(self.knowledge_bases, decider, envelope)

    def _fold(self, states: dict[str, Folded[Any]], decider: Decider[Any, Any], envelope: Envelope) -> None:
        before = states.get(envelope.stream_id, Folded(decider.initial))
        self.version_gaps += envelope.version != before.version + 1
        try:
            states[envelope.stream_id] = apply(decider.evolve, before, envelope)
        except VersionGap:
            return  # counted above
        except ImpossibleEvent:
            self.terminal_violations += 1
            states[envelope.stream_id] = msgspec.structs.replace(before, version=envelope.version)

    def _leaves_an_end(self, envelope: Envelope) -> bool:
        """Whether a stream that has ended goes on as if it had not, or ends twice."""
        stream, event = envelope.stream_id, envelope.event
        has_ended = stream in self._ended
        match event:
            case d.StepStarted():
                self.starts[stream, event.step] += 1
                return has_ended
            case d.ReprocessingRequested():
                self._ended.discard(stream)
                return False
            case t.TaskFinished():
                self._ended.add(stream)
                return has_ended
            case _ if isinstance(event, ENDS):
                self._ended.add(stream)
                return has_ended
            case _:
                return has_ended and not isinstance(event, AFTER_AN_END + AFTER_A_FINISH)
