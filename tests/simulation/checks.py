"""What must hold after every step of the world, worked out from the events alone wherever that can be done."""

from collections.abc import Sequence
from typing import Final

from domain import document_evolve
from domain import task as task_states
from domain.document import (
    DocumentState,
    Erased,
    Indexed,
    Open,
    Reached,
    Removed,
    Running,
    Skipped,
    Unknown,
    awaited_step,
    record_of,
)
from events import document as d
from events import knowledge_base as k
from events import task as t
from events.digests import DigestKey, digest_of
from events.envelope import Envelope
from events.ids import KnowledgeBaseId, StreamKind, kind_of, partition_of, unpack_stream_id
from events.inbox import Delivery
from events.log import Tally, Write
from events.memory import MemoryLog
from events.memory_store import PartitionState
from events.routing import ToInbox, ToInboxAt, route
from events.steps import Step
from knowledge.index import IndexTable
from processors.failures import INTERNAL_ERROR, POISON_DOCUMENT
from tests.simulation.claims import Claims
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.pointers import has_finish, has_pointer
from tests.simulation.rows import RowChecks

RESULTS: Final = (
    *(d.DocumentFetched, d.DocumentParsed, d.DocumentChunked, d.ChunksEmbedded, d.DocumentEmbedded, d.DocumentIndexed),
)
ENDS: Final = (d.DocumentIndexed, d.DocumentFailed, d.DocumentCancelled, d.DocumentSkipped)
AFTER_AN_END: Final = (d.ReprocessingRequested, d.DocumentRemoved, d.DocumentErased, d.ChunkEdited)
OPEN, GOOD, FAILED, CANCELLED, SKIPPED = range(5)


class Checks:
    """One for each world; raises AssertionError. `disturbed` names workers that were killed, frozen or robbed."""

    def __init__(self, loop: SimulatedLoop, log: MemoryLog, rows: RowChecks) -> None:
        self._loop = loop
        self._log = log
        self._rows = rows
        self.disturbed: set[str] = set()
        self.claims = Claims(loop, log, self.disturbed)
        self.documents: dict[str, DocumentState] = {}
        self.tasks: dict[str, task_states.TaskState] = {}
        self.members: dict[str, dict[str, int]] = {}
        self.events = 0
        self._deleted: set[str] = set()
        self._same_bytes: dict[tuple[KnowledgeBaseId, str], set[str]] = {}
        self._versions: dict[str, int] = {}
        self._event_ids: set[str] = set()
        self._ended: set[str] = set()
        self._called_at: dict[tuple[str, Step], int] = {}
        self._starts: dict[tuple[str, Step], list[str]] = {}

    # The log

    def appended(self, writer: str, writes: Sequence[Write], acknowledged: Delivery | None) -> None:
        """`writes` took effect just now; none where the call was a repeat."""
        for write in writes:
            for envelope in write.envelopes:
                self._event(writer, envelope)
        touched = {write.stream_id for write in writes}
        touched |= {envelope.correlation_id for write in writes for envelope in write.envelopes}
        if acknowledged is not None:
            touched |= {acknowledged.stream_id, acknowledged.correlation_id}
        for stream in sorted(touched):
            self._nobody_is_forgotten(stream)
        for task in sorted({change.task_id for write in writes for change in write.tally} | touched):
            self._tally_is_the_fold(task)
        self._claims_are_those_that_live([write.stream_id for write in writes])

    def _event(self, writer: str, envelope: Envelope) -> None:
        stream, event = envelope.stream_id, envelope.event
        self.events += 1
        self._loop.tell(f"{writer} {stream} {envelope.version} {event}")
        self._loop.note(stream.encode(), envelope.event_id.encode(), type(event).__name__.encode())
        assert envelope.version == self._versions.get(stream, 0) + 1, f"{stream} has a gap at {envelope.version}"
        self._versions[stream] = envelope.version
        assert envelope.event_id not in self._event_ids, f"event {envelope.event_id} comes twice"
        self._event_ids.add(envelope.event_id)
        for found in route(event):
            if isinstance(found, ToInbox | ToInboxAt):
                self._called_at[stream, found.step] = envelope.version
        match kind_of(stream):
            case StreamKind.DOCUMENT:
                self._document_event(writer, envelope)
            case StreamKind.TASK:
                self._task_event(envelope)
            case StreamKind.KNOWLEDGE_BASE:
                if isinstance(event, k.KnowledgeBaseDeleted):
                    self._deleted.add(stream)

    def _document_event(self, writer: str, envelope: Envelope) -> None:
        stream, event = envelope.stream_id, envelope.event
        before = self.documents.get(stream, Unknown())
        if stream in self._ended:
            assert isinstance(event, AFTER_AN_END), f"{stream} has ended, and then came {event}"
        self._is_fenced(writer, stream, before, event)
        self._count(stream, event)
        after = document_evolve.evolve(before, event, envelope.recorded_at_us)
        self.documents[stream] = after
        if isinstance(event, ENDS):
            self._ended.add(stream)
        elif isinstance(event, d.ReprocessingRequested):
            self._ended.discard(stream)
        self._rows.referenced(stream, after)
        if isinstance(event, d.DocumentIndexed):
            assert isinstance(after, Indexed)
            # Of a deleted knowledge base the tables go, under those too who are about to tell of their rows.
            if after.record.about.knowledge_base_id not in self._deleted:
                self._rows.are_complete(stream, after)

    def _is_fenced(self, writer: str, stream: str, before: DocumentState, event: object) -> None:
        """Results come from the attempt that is under way, and failures say what happened."""
        activity = before.activity if isinstance(before, Open) else None
        running = activity.worker if isinstance(activity, Running) else None
        match event:
            case d.StepStarted():
                assert event.worker == writer, f"{writer} began a step in the name of {event.worker}"
                self._starts.setdefault((stream, event.step), []).append(writer)
            case d.StepFailed():
                assert isinstance(activity, Running), f"{writer} failed a step of {stream} that nobody had begun"
                assert (running, activity.attempt) == (writer, event.attempt), f"{writer} is a zombie at {stream}"
                assert event.code != INTERNAL_ERROR, f"{stream}: {event.message}"
            case d.DocumentFailed(code=code) if code == POISON_DOCUMENT:
                last = self._starts[stream, event.step][-3:]
                assert stream in self.disturbed or set(last) <= self.disturbed, (
                    f"{stream} was parked, and of {last} some had no accident"
                )
            case d.DocumentFailed():
                assert event.code != INTERNAL_ERROR, f"{stream}: {event.message}"
                assert running == writer, f"{writer} ended {stream}, at which {running} works"
            case _:
                is_fenced = running == writer or not isinstance(event, RESULTS)
                assert is_fenced, f"{writer} has a result for {stream}, at which {running} works"

    def _count(self, stream: str, event: object) -> None:
        state = self.documents.get(stream, Unknown())
        match event:
            case d.DocumentAccepted() | d.DocumentRequested() | d.DocumentSkipped():
                where = SKIPPED if isinstance(event, d.DocumentSkipped) else OPEN
                self.members.setdefault(event.task_id, {})[stream] = where
                return
            case d.ReprocessingRequested():
                self.members.setdefault(event.task_id, {})[stream] = OPEN
                return
            case d.DocumentIndexed():
                where = GOOD
            case d.DocumentFailed():
                where = FAILED
            case d.DocumentCancelled():
                where = CANCELLED
            case d.DocumentRemoved() if isinstance(state, Open):
                where = CANCELLED
            case _:
                return
        assert not isinstance(state, Unknown | Skipped | Removed | Erased)
        self.members[record_of(state).about.task_id][stream] = where

    def _task_event(self, envelope: Envelope) -> None:
        stream, event = envelope.stream_id, envelope.event
        before = self.tasks.get(stream, task_states.UnknownTask())
        if isinstance(event, t.TaskFinished):
            assert not isinstance(before, task_states.FinishedTask), f"{stream} finished twice"
            assert isinstance(before, task_states.OpenTask)
            tally = self._tally(stream)
            said = Tally(0, event.succeeded, event.failed, event.cancelled, event.skipped)
            assert said == tally, f"{stream} finished as {said}, its documents say {tally}"
            assert sum(self._values(tally)) == before.submitted.documents
        self.tasks[stream] = task_states.evolve(before, event, envelope.recorded_at_us)

    def _claims_are_those_that_live(self, touched: Sequence[str]) -> None:
        digests = set()
        for stream in touched:
            state = self.documents.get(stream, Unknown())
            while isinstance(state, Removed | Erased):
                state = state.before
            if isinstance(state, Unknown | Skipped):
                continue
            about = record_of(state).about
            if not about.sha256:
                continue  # nobody has fetched it yet
            self._same_bytes.setdefault((about.knowledge_base_id, about.sha256), set()).add(stream)
            digests.add((about.knowledge_base_id, about.sha256))
        for knowledge_base, sha256 in digests:
            same = self._same_bytes[knowledge_base, sha256]
            live = {one for one in same if isinstance(self.documents[one], Reached)}
            key = DigestKey(knowledge_base, digest_of(sha256))
            kept = list(map(unpack_stream_id, self._partition(knowledge_base).digests.get(key, ())))
            assert set(kept) == live, f"{kept} claim the bytes of {live}"

    def _tally_is_the_fold(self, task: str) -> None:
        if kind_of(task) is not StreamKind.TASK or task not in self.members:
            return
        stored = self._partition(task).tallies.get(task)
        if isinstance(self.tasks.get(task), task_states.FinishedTask):
            assert stored is None, f"{task} has finished and still has a tally"
        else:
            assert stored == self._tally(task), (
                f"the tally of {task} is {stored}, its documents say {self._tally(task)}"
            )

    def _tally(self, task: str) -> Tally:
        places = list(self.members.get(task, {}).values())
        return Tally(*(places.count(where) for where in (OPEN, GOOD, FAILED, CANCELLED, SKIPPED)))

    def _values(self, tally: Tally) -> tuple[int, ...]:
        return tally.succeeded, tally.failed, tally.cancelled, tally.skipped

    # The inboxes

    def acknowledged(self, delivery: Delivery) -> None:
        """A delivery was taken out without an event."""
        self._nobody_is_forgotten(delivery.stream_id)
        self._nobody_is_forgotten(delivery.correlation_id)

    def _nobody_is_forgotten(self, stream: str) -> None:
        """Whatever waits for a step has a pointer in that step's inbox, in somebody's hands or among the timers."""
        partition = self._partition(stream)
        state, task = self.documents.get(stream), self.tasks.get(stream)
        if isinstance(state, Open):
            step = awaited_step(state)
            assert step is not None
            least = self._called_at[stream, step]
            assert has_pointer(partition, step, stream, least), f"{stream} waits for {step}, and nothing points to it"
        elif isinstance(state, Removed):
            assert has_pointer(partition, Step.ERASE, stream, 0), f"{stream} is to be erased, and nothing points to it"
        if isinstance(task, task_states.OpenTask) and self._tally(stream).open_documents == 0:
            assert has_finish(partition, stream), f"{stream} is to be finished, and nothing points to it"

    def _partition(self, stream: str) -> PartitionState:
        return self._log.store.partition(partition_of(stream))

    # Blobs and rows

    def blob_written(self, key: str, writer: Process, *, is_given_up: bool) -> None:
        self._rows.blob_written(key, writer, is_given_up=is_given_up)

    def blob_deleted(self, key: str) -> None:
        self._rows.blob_deleted(key)

    def prefix_deleted(self, prefix: str) -> None:
        self._rows.prefix_deleted(prefix)

    def rows_written(self, document: str, writer: Process, *, is_given_up: bool) -> None:
        self._rows.rows_written(document, writer, is_given_up=is_given_up)

    def rows_erased(self, document: str) -> None:
        state = self.documents.get(document, Unknown())
        assert not isinstance(state, Indexed), f"the rows of {document} were erased, and it is searchable"

    def table_dropped(self, table: IndexTable) -> None:
        assert table.knowledge_base_id in self._deleted, f"{table} was dropped, and its knowledge base is there"
