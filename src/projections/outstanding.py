"""What a partition's log says is still to be done: pure, and the same as what its appends have put into the inboxes.

Every fact is folded by the domain's own folds. A document that has ended is kept as bytes, a finished task not at all,
so that a million events fit into some hundred megabytes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from domain.counts import tally_changes
from domain.decider import Run, run
from domain.deciders import DOCUMENT
from domain.document import (
    DocumentState,
    Open,
    Removed,
    Running,
    Unknown,
    awaited_step,
    is_open,
    is_recorded,
    record_of,
)
from events import document as d
from events.derived import DeadLetterChange, Owed
from events.digests import Claims, DigestChange, digest_of, moved
from events.envelope import Envelope, UnknownEvent, UnknownReason
from events.ids import KnowledgeBaseId, StreamKind, TaskId, pack_stream_id
from events.knowledge_base import KnowledgeBaseDeleted
from events.log import Tally
from events.pointer import Pointer
from events.steps import Lane, Step
from events.task import TaskFinished, TaskSubmitted
from projections.documents import DocumentRow
from projections.followed_document import REVISING, Call, FollowedDocument, pointer_to, revision_by
from projections.projection import RowKey
from projections.rows import Row

_DOCUMENT_INITIAL: Final = StreamKind.DOCUMENT.value[0]
_TASK_INITIAL: Final = StreamKind.TASK.value[0]

MERELY_GO_ON: Final[frozenset[type]] = frozenset(
    {
        d.StepStarted,
        d.StepFailed,
        d.DocumentParsed,
        d.DocumentChunked,
        d.ChunksEmbedded,
        d.DocumentEmbedded,
    }
)
"""Most facts are of these types: they change neither tally nor claims."""


class _Task:
    __slots__ = ("documents", "ended_by", "lane", "version")

    def __init__(self, documents: int, version: int) -> None:
        self.documents = documents
        self.version = version
        self.ended_by: tuple[Envelope, KnowledgeBaseId] | None = None
        self.lane = Lane.INTERACTIVE


class Outstanding:
    """One partition up to the last fact that it followed; facts come in the order of the log.

    `refused` facts could not follow what their stream held before. `newer` ones are known in an older form alone: what
    they lead to is not known here, and nothing that is worked out may be put.
    """

    def __init__(self) -> None:
        self.refused = 0
        self.newer = 0
        self._documents: dict[str, FollowedDocument] = {}
        self._tasks: dict[str, _Task] = {}
        self._tallies: dict[TaskId, Tally] = {}
        self._deleted: dict[str, tuple[Pointer, int]] = {}
        self._left: Counter[KnowledgeBaseId] = Counter()
        self._claims: defaultdict[KnowledgeBaseId, dict[bytes, Claims]] = defaultdict(dict)

    def follow(self, page: Sequence[Envelope], folded: Mapping[str, Run[DocumentState]] | None = None) -> None:
        """Some more facts; those that cannot follow what their stream held before are counted and passed over.

        `folded`: how every document of the page went, where somebody has folded them already, who tells `keep` of the
        rows too.
        """
        runs = self._runs_of(page, folded)
        revised = dict[str, Call]()
        for envelope in page:
            fact = type(envelope.event)
            if fact in MERELY_GO_ON:
                continue
            stream = envelope.stream_id
            if stream[0] == _DOCUMENT_INITIAL:
                went = runs[stream]
                at = envelope.version - went.start.version
                if not 0 < at < len(went.states) or went.envelopes[at - 1] is not envelope:
                    continue  # it did not take effect
                self._count(envelope, went.states[at - 1], went.states[at])
                if fact in REVISING and (revision := revision_by(envelope, went.states[at])) is not None:
                    revised[stream] = revision
            elif stream[0] == _TASK_INITIAL:
                self._follow_task(envelope)
            else:
                self._follow_knowledge_base(envelope)
        for document, went in runs.items():
            has_row = folded is not None and folded.get(document) is went
            self._documents[document].remember(went, revised.get(document), has_row=has_row)

    def keep(self, rows: Mapping[RowKey, Row], packed: Mapping[RowKey, bytes]) -> None:
        """Rows that were made of what was folded, and how they were packed."""
        for key, row in rows.items():
            if type(row) is DocumentRow and (known := self._documents.get(key.id)) is not None:
                known.keep(row, packed[key])

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
            pointer = pointer_to(*task.ended_by, task_id)
            found[task_id] = Owed(
                step=Step.FINISH, lane=task.lane, pointer=pointer, guard=task_id, guard_version=task.version
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

    def _runs_of(
        self, page: Sequence[Envelope], folded: Mapping[str, Run[DocumentState]] | None
    ) -> dict[str, Run[DocumentState]]:
        """How each document of the page went: as it was folded, if that began where this stands."""
        runs = dict[str, Run[DocumentState]]()
        for document, went in (folded or {}).items():
            known = self._documents.get(document)
            if known is None:
                known = self._documents[document] = FollowedDocument()
            if went.start.version == known.version:
                runs[document] = went
        if folded is None or len(runs) < len(folded):
            self._fold_others(page, runs)
        self.refused += sum([went.refused for went in runs.values()])
        return runs

    def _fold_others(self, page: Sequence[Envelope], runs: dict[str, Run[DocumentState]]) -> None:
        """Adds how those documents of the page went that are not there yet."""
        events = dict[str, list[Envelope]]()
        for envelope in page:
            if envelope.stream_id[0] == _DOCUMENT_INITIAL and envelope.stream_id not in runs:
                events.setdefault(envelope.stream_id, []).append(envelope)
        for document, envelopes in events.items():
            known = self._documents.get(document)
            if known is None:
                known = self._documents[document] = FollowedDocument()
            runs[document] = run(DOCUMENT.evolve, known.unpacked(), envelopes)

    def _count(self, envelope: Envelope, before: DocumentState, after: DocumentState) -> None:
        """A fact that took effect."""
        if type(envelope.event) is UnknownEvent:
            self.newer += envelope.event.reason is UnknownReason.NEWER_VERSION
            return
        if _counts_alike(before, after):
            return
        place = record_of(after).about if is_recorded(after) else DOCUMENT.placement(after)
        knowledge_base = place.knowledge_base_id
        if type(before) is Unknown:
            self._left[knowledge_base] += 1
        elif type(after) is Removed:
            self._left[knowledge_base] -= 1
        for changed in DOCUMENT.digests(before, after):
            self._move(knowledge_base, changed, pack_stream_id(envelope.stream_id))
        for change in tally_changes(before, after):
            self._add(change.task_id, change.change)
            task = self._tasks.get(change.task_id)
            if task is not None:
                task.ended_by = (envelope, knowledge_base)
                task.lane = place.lane

    def _move(self, knowledge_base: KnowledgeBaseId, change: DigestChange, document: bytes) -> None:
        claimed, digest = self._claims[knowledge_base], digest_of(change.sha256)
        claims = moved(claimed.pop(digest, ()), document, change.move)
        if claims:
            claimed[digest] = claims

    def _add(self, task_id: TaskId, change: Tally) -> None:
        """As an append does it: what takes from a task without a tally comes after that task's end."""
        known = self._tallies.get(task_id)
        if known is None and min(msgspec.structs.astuple(change)) < 0:
            return
        self._tallies[task_id] = change if known is None else known + change

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
            self._deleted[stream] = (pointer_to(envelope, KnowledgeBaseId(stream)), envelope.version)
        elif stream in self._deleted:
            self._deleted[stream] = (self._deleted[stream][0], envelope.version)


def _counts_alike(before: DocumentState, after: DocumentState) -> bool:
    """Whether a document only went on: still under way, under the same task, with the same digest. Most facts are of
    that kind, and change neither tally nor claims."""
    return is_open(before) and is_open(after) and before.record.about is after.record.about


def _owed_to(document: FollowedDocument, state: DocumentState, call: Call, after_grace_ms: int) -> Iterator[Owed]:
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
