"""What a partition's log says is still to be done: pure, and the same as what its appends have put into the inboxes.

Every fact is folded by the domain's own folds. A document that has ended is kept as bytes, a finished task not at all,
so that a million events fit into some hundred megabytes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from domain.counts import tally_changes
from domain.decider import Folded, apply
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Failed, Open, Removed, Running, Unknown, awaited_step
from domain.errors import ImpossibleEvent
from events.derived import DeadLetterChange, Owed
from events.digests import Claims, DigestChange, digest_of, moved
from events.envelope import Envelope, UnknownEvent, UnknownReason
from events.errors import VersionGap
from events.ids import KIND_OF_INITIAL, KnowledgeBaseId, StreamKind, TaskId, pack_stream_id
from events.knowledge_base import KnowledgeBaseDeleted
from events.log import Tally
from events.pointer import Pointer
from events.routing import ToInbox, ToInboxAt, route
from events.steps import Lane, Step
from events.task import TaskFinished, TaskSubmitted

_encoder = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Folded[DocumentState])


class _Call(msgspec.Struct, frozen=True):
    """The last event that leads to a step, as its append pointed to it."""

    step: Step
    pointer: Pointer
    due_at_ms: int | None


class _Document:
    __slots__ = ("call", "dead_since_ms", "folded", "packed", "revised_by", "version")

    def __init__(self) -> None:
        self.folded: Folded[DocumentState] | None = Folded(DOCUMENT.initial)
        self.packed = b""
        self.version = 0
        self.call: _Call | None = None
        self.revised_by: tuple[Pointer, Lane] | None = None
        self.dead_since_ms: int | None = None

    def unpacked(self) -> Folded[DocumentState]:
        folded: Folded[DocumentState] = _decoder.decode(self.packed) if self.folded is None else self.folded
        return folded


class _Task:
    __slots__ = ("documents", "ended_by", "lane", "version")

    def __init__(self, documents: int, version: int) -> None:
        self.documents = documents
        self.version = version
        self.ended_by: Pointer | None = None
        self.lane = Lane.INTERACTIVE


class Outstanding:
    """One partition up to the last fact that it followed; facts come in the order of the log.

    `refused` facts could not follow what their stream held before. `newer` ones are known in an older form alone: what
    they lead to is not known here, and nothing that is worked out may be put.
    """

    def __init__(self) -> None:
        self.refused = 0
        self.newer = 0
        self._documents: dict[str, _Document] = {}
        self._tasks: dict[str, _Task] = {}
        self._tallies: dict[TaskId, Tally] = {}
        self._deleted: dict[str, tuple[Pointer, int]] = {}
        self._left: Counter[KnowledgeBaseId] = Counter()
        self._claims: defaultdict[KnowledgeBaseId, dict[bytes, Claims]] = defaultdict(dict)

    def follow(self, envelope: Envelope) -> None:
        """One more fact; one that cannot follow what its stream held before is counted and passed over."""
        match KIND_OF_INITIAL[envelope.stream_id[0]]:
            case StreamKind.DOCUMENT:
                self._follow_document(envelope)
            case StreamKind.TASK:
                self._follow_task(envelope)
            case StreamKind.KNOWLEDGE_BASE:
                self._follow_knowledge_base(envelope)

    def tallies(self) -> dict[TaskId, Tally]:
        """Of every task whose tally has to be there."""
        return dict(self._tallies)

    def owed(self, now_ms: int, grace_ms: int) -> Iterator[Owed]:
        """What has to lie in an inbox or among the timers.

        What a worker is at is due after `grace_ms`: whoever lives ends it first, whoever died is taken over from.
        """
        for document in self._documents.values():
            if document.folded is not None and document.call is not None:
                yield from _owed_to(document, document.folded.state, document.call, now_ms + grace_ms)
            if document.revised_by is not None:
                pointer, lane = document.revised_by
                yield Owed(
                    step=Step.REVISE,
                    lane=lane,
                    pointer=pointer,
                    guard=pointer.stream_id,
                    guard_version=document.version,
                    may_be_done=True,
                )
        for pointer, version in self._deleted.values():
            yield Owed(
                step=Step.ERASE,
                lane=Lane.INTERACTIVE,
                pointer=pointer,
                guard=pointer.stream_id,
                guard_version=version,
                may_be_done=self._left[pointer.knowledge_base_id] == 0,
            )

    def ends(self) -> dict[TaskId, Owed]:
        """The pointer that each task is owed whose documents have all ended, and which has not finished."""
        found = {}
        for task_id, tally in self._tallies.items():
            task = self._tasks.get(task_id)
            ended = tally.succeeded + tally.failed + tally.cancelled + tally.skipped
            if task is None or task.ended_by is None or tally.open_documents or ended != task.documents:
                continue
            found[task_id] = Owed(
                step=Step.FINISH, lane=task.lane, pointer=task.ended_by, guard=task_id, guard_version=task.version
            )
        return found

    def dead_letters(self) -> dict[str, int]:
        """Streams that belong among the dead letters, with the time of their failure (unix ms)."""
        documents = self._documents.items()
        return {name: one.dead_since_ms for name, one in documents if one.dead_since_ms is not None}

    def dead_letter_change(self, stream_id: str) -> DeadLetterChange:
        """How the stream stands."""
        known = self._documents.get(stream_id)
        return DeadLetterChange(stream_id, known.version if known else 0, known.dead_since_ms if known else None)

    def knowledge_bases(self) -> list[KnowledgeBaseId]:
        """Those that had documents."""
        return list(self._left)

    def claims(self, knowledge_base: KnowledgeBaseId) -> dict[bytes, Claims]:
        """Every digest that is claimed."""
        return self._claims[knowledge_base]

    def _follow_document(self, envelope: Envelope) -> None:
        known = self._documents.get(envelope.stream_id)
        if known is None:
            known = self._documents[envelope.stream_id] = _Document()
        before = known.unpacked()
        try:
            after = apply(DOCUMENT.evolve, before, envelope)
        except (VersionGap, ImpossibleEvent):
            self.refused += 1
            return
        known.version = after.version
        if isinstance(envelope.event, UnknownEvent):
            self.newer += envelope.event.reason is UnknownReason.NEWER_VERSION
            known.folded, known.packed = (after, b"") if known.folded is not None else (None, _encoder.encode(after))
            return
        self._count(envelope, before.state, after.state)
        _remember(known, envelope, after)

    def _count(self, envelope: Envelope, before: DocumentState, after: DocumentState) -> None:
        if _counts_alike(before, after):
            return
        place = DOCUMENT.placement(after)
        if isinstance(before, Unknown):
            self._left[place.knowledge_base_id] += 1
        elif isinstance(after, Removed):
            self._left[place.knowledge_base_id] -= 1
        for changed in DOCUMENT.digests(before, after):
            self._move(place.knowledge_base_id, changed, pack_stream_id(envelope.stream_id))
        for change in tally_changes(before, after):
            self._add(change.task_id, change.change)
            task = self._tasks.get(change.task_id)
            if task is not None:
                task.ended_by = _pointer(envelope, place.knowledge_base_id, change.task_id)
                task.lane = place.lane

    def _move(self, knowledge_base: KnowledgeBaseId, change: DigestChange, document: bytes) -> None:
        claimed, digest = self._claims[knowledge_base], digest_of(change.sha256)
        claims = moved(claimed.pop(digest, ()), document, change.move)
        if claims:
            claimed[digest] = claims

    def _add(self, task_id: TaskId, change: Tally) -> None:
        """As an append does it: what takes from a task without a tally comes after that task's end."""
        known, difference = self._tallies.get(task_id), msgspec.structs.astuple(change)
        if known is None and min(difference) < 0:
            return
        sums = map(sum, zip(msgspec.structs.astuple(known or Tally()), difference, strict=True))
        self._tallies[task_id] = Tally(*sums)

    def _follow_task(self, envelope: Envelope) -> None:
        known = self._tasks.get(envelope.stream_id)
        match envelope.event:
            case TaskSubmitted(documents=documents):
                self._tasks[envelope.stream_id] = _Task(documents, envelope.version)
            case TaskFinished():
                self._tasks.pop(envelope.stream_id, None)
                self._tallies.pop(TaskId(envelope.stream_id), None)
            case _ if known is not None:
                known.version = envelope.version
            case _:
                return

    def _follow_knowledge_base(self, envelope: Envelope) -> None:
        stream = envelope.stream_id
        if isinstance(envelope.event, KnowledgeBaseDeleted):
            self._deleted[stream] = (_pointer(envelope, KnowledgeBaseId(stream)), envelope.version)
        elif stream in self._deleted:
            self._deleted[stream] = (self._deleted[stream][0], envelope.version)


def _counts_alike(before: DocumentState, after: DocumentState) -> bool:
    """Whether a document only went on: still under way, under the same task, with the same digest. Most facts are of
    that kind, and change neither tally nor claims."""
    return isinstance(before, Open) and isinstance(after, Open) and before.record.about is after.record.about


def _remember(known: _Document, envelope: Envelope, after: Folded[DocumentState]) -> None:
    state = after.state
    called = _call_of(envelope, state)
    if called is not None and called.step is Step.REVISE:
        # What was revised last tells all that was changed before.
        known.revised_by = (called.pointer, DOCUMENT.placement(state).lane)
    else:
        known.call = called or known.call
    if isinstance(state, Removed):
        known.revised_by = None
    known.dead_since_ms = state.ended_at_us // 1_000 if isinstance(state, Failed) else None
    if isinstance(state, Open | Removed):
        known.folded, known.packed = after, b""
        return
    known.folded, known.call = None, None
    known.packed = _encoder.encode(after)


def _call_of(envelope: Envelope, state: DocumentState) -> _Call | None:
    for found in route(envelope.event):
        pointer = _pointer(envelope, DOCUMENT.placement(state).knowledge_base_id)
        match found:
            case ToInbox(step):
                return _Call(step, pointer, None)
            case ToInboxAt(step, due_at_us):
                return _Call(step, pointer, -(-due_at_us // 1_000))
            case _:
                continue
    return None


def _pointer(envelope: Envelope, knowledge_base_id: KnowledgeBaseId, correlation_id: str | None = None) -> Pointer:
    return Pointer(
        stream_id=envelope.stream_id,
        version=envelope.version,
        event_id=envelope.event_id,
        correlation_id=correlation_id or envelope.correlation_id,
        knowledge_base_id=knowledge_base_id,
    )


def _owed_to(document: _Document, state: DocumentState, call: _Call, after_grace_ms: int) -> Iterator[Owed]:
    due_at_ms = call.due_at_ms
    match state:
        case Removed():
            step: Step | None = Step.ERASE
        case _:
            step = awaited_step(state)
            if isinstance(state, Open) and isinstance(state.activity, Running):
                due_at_ms = max(due_at_ms or 0, after_grace_ms)
    if step is not call.step:
        return
    yield Owed(
        step=step,
        lane=DOCUMENT.placement(state).lane,
        pointer=call.pointer,
        guard=call.pointer.stream_id,
        guard_version=document.version,
        due_at_ms=due_at_ms,
    )
