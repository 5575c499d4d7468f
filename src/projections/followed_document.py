"""A document as far as its facts were followed: what it stands at, and what they led to last."""

from typing import Final

import msgspec

from domain.decider import Folded, Run
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Erased, Failed, Removed, is_open
from events import document as d
from events.envelope import Envelope
from events.ids import KnowledgeBaseId
from events.pointer import Pointer
from events.routing import ToInbox, ToInboxAt, route
from events.steps import Lane, Step
from projections.documents import DocumentRow, is_at_rest
from projections.rows import DOCUMENT_PROJECTION

REVISING: Final[frozenset[type]] = frozenset({d.ChunkEdited, d.DocumentChanged, d.DocumentIndexed})
"""Facts that may lead to the step that revises."""

CALLING: Final[frozenset[type]] = frozenset(
    {
        d.DocumentAccepted,
        d.DocumentRequested,
        d.DocumentFetched,
        d.DocumentParsed,
        d.DocumentChunked,
        d.DocumentEmbedded,
        d.StepFailed,
        d.ReprocessingRequested,
        d.DocumentRemoved,
    }
)
"""Facts that lead to any other step."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Call(msgspec.Struct, frozen=True, gc=False):
    """The last event that leads to a step, as its append pointed to it."""

    step: Step
    pointer: Pointer
    lane: Lane
    due_at_ms: int | None


class FollowedDocument:
    """Kept as bytes once it has ended, so that a million events fit into some hundred megabytes: those of its row,
    which whoever folded it packs for the views, or else bytes of its own."""

    __slots__ = ("call", "dead_since_ms", "folded", "packed", "revised_by", "version")

    def __init__(self) -> None:
        self.folded: Folded[DocumentState] | None = Folded(DOCUMENT.initial)
        self.packed = b""
        self.version = 0
        self.call: Call | None = None
        self.revised_by: tuple[Pointer, Lane] | None = None
        self.dead_since_ms: int | None = None

    def unpacked(self) -> Folded[DocumentState]:
        return DOCUMENT_PROJECTION.decode(self.packed).folded if self.folded is None else self.folded

    def remember(self, went: Run[DocumentState], revision: Call | None, *, has_row: bool) -> None:
        """What the document stands at behind a run, and which of its facts led to a step last; `revision` is the call
        for the step that revises, where one of them led to that. `has_row`: `keep` will be told how it was packed."""
        if not went.envelopes:
            return
        state = went.end.state
        self.version = went.end.version
        if revision is not None:
            # What was revised last tells all that was changed before.
            self.revised_by = (revision.pointer, revision.lane)
        self.dead_since_ms = state.ended_at_us // 1_000 if type(state) is Failed else None
        if is_open(state) or type(state) is Removed:
            self.folded, self.packed = went.end, b""
            self.call = _last_call(went) or self.call
        elif has_row:
            self.folded, self.packed, self.call = went.end, b"", None
        else:
            self.folded, self.packed, self.call = None, _encode(DocumentRow(went.end)), None
        if type(state) in {Removed, Erased}:
            self.revised_by = None

    def keep(self, row: DocumentRow, packed: bytes) -> None:
        """The bytes of a row, in place of the state that they were made of; one that goes on is kept as it is."""
        if row.folded is self.folded and is_at_rest(row) and type(row.folded.state) is not Removed:
            self.folded, self.packed = None, packed


def pointer_to(envelope: Envelope, knowledge_base_id: KnowledgeBaseId, correlation_id: str | None = None) -> Pointer:
    return Pointer(
        stream_id=envelope.stream_id,
        version=envelope.version,
        event_id=envelope.event_id,
        correlation_id=correlation_id or envelope.correlation_id,
        knowledge_base_id=knowledge_base_id,
    )


def revision_by(envelope: Envelope, state: DocumentState) -> Call | None:
    """What a fact of `REVISING` leads to."""
    event = envelope.event
    return _call_of(envelope, state) if type(event) is not d.DocumentIndexed or event.is_stale else None


def _last_call(went: Run[DocumentState]) -> Call | None:
    """What the last of the facts that call for a step leads to."""
    for place in range(len(went.envelopes) - 1, -1, -1):
        envelope = went.envelopes[place]
        if type(envelope.event) in CALLING:
            called = _call_of(envelope, went.states[place + 1])
            if called is not None:
                return called
    return None


def _call_of(envelope: Envelope, state: DocumentState) -> Call | None:
    for found in route(envelope.event):
        if isinstance(found, ToInbox | ToInboxAt):
            place = DOCUMENT.placement(state)
            due_at_ms = -(-found.due_at_us // 1_000) if isinstance(found, ToInboxAt) else None
            return Call(found.step, pointer_to(envelope, place.knowledge_base_id), place.lane, due_at_ms)
    return None
