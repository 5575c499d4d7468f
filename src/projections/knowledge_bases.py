"""Knowledge-base rows: name and settings from its own facts, counters from its documents by difference.

Lists: the knowledge bases of the partition, all and by name, by the time of their creation; a deleted one leaves them.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from domain import knowledge_base
from domain.decider import Folded, apply
from domain.knowledge_base import ActiveKnowledgeBase, KnowledgeBaseState, UnknownKnowledgeBase
from domain.knowledge_base_status import (
    KnowledgeBaseCounts,
    KnowledgeBaseStatus,
    difference,
    knowledge_base_status,
)
from events.envelope import Envelope, UnknownEvent
from events.ids import KnowledgeBaseId
from projections.projection import KNOWLEDGE_BASES, IndexEntry, Table, Touch, member

KNOWLEDGE_BASES_INDEX = "knowledge_bases"


class KnowledgeBaseRow(msgspec.Struct, frozen=True, array_like=True):
    """One knowledge base. `document_events` counts the facts of its documents."""

    folded: Folded[KnowledgeBaseState]
    counts: KnowledgeBaseCounts = KnowledgeBaseCounts()
    document_events: int = 0
    updated_at_us: int = 0

    @property
    def version(self) -> int:
        """Rises with every fact of the knowledge base and of its documents, whatever their order."""
        return self.folded.version + self.document_events


NEW = KnowledgeBaseRow(Folded(UnknownKnowledgeBase()))

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(KnowledgeBaseRow)


class KnowledgeBaseProjection:
    """CountingProjection[KnowledgeBaseRow]."""

    @property
    def table(self) -> Table:
        return KNOWLEDGE_BASES

    def decode(self, payload: bytes) -> KnowledgeBaseRow:
        return _decoder.decode(payload)

    def encode(self, row: KnowledgeBaseRow) -> bytes:
        return _encoder.encode(row)

    def follow(self, row: KnowledgeBaseRow | None, envelope: Envelope) -> KnowledgeBaseRow:
        known = row or NEW
        folded = apply(knowledge_base.evolve, known.folded, envelope)
        if folded is known.folded:
            return known
        if isinstance(envelope.event, UnknownEvent):
            return replace(known, folded=folded)
        return replace(known, folded=folded, updated_at_us=max(known.updated_at_us, envelope.recorded_at_us))

    def count(self, row: KnowledgeBaseRow | None, touches: Sequence[Touch]) -> KnowledgeBaseRow:
        known = row or NEW
        counts, events, updated_at_us = known.counts, known.document_events, known.updated_at_us
        for touch in touches:
            counts = counts.plus(difference(touch.before, touch.after))
            events += touch.events
            updated_at_us = max(updated_at_us, touch.updated_at_us)
        return KnowledgeBaseRow(known.folded, counts, events, updated_at_us)

    def entries(self, row_id: str, row: KnowledgeBaseRow) -> tuple[IndexEntry, ...]:
        state = row.folded.state
        if not isinstance(state, ActiveKnowledgeBase):
            return ()
        place = member(state.created_at_us, row_id)
        return tuple(IndexEntry(index, place) for index in (KNOWLEDGE_BASES_INDEX, names_index(state.name)))


def names_index(name: str) -> str:
    """The knowledge bases of one name. Names are free text of any length, so their SHA-256 stands in the key."""
    return f"{KNOWLEDGE_BASES_INDEX}/{hashlib.sha256(name.encode()).hexdigest()}"


def status_of(knowledge_base_id: KnowledgeBaseId, row: KnowledgeBaseRow) -> KnowledgeBaseStatus | None:
    """What a client sees; None for a knowledge base that does not exist, or no longer."""
    state = row.folded.state
    if not isinstance(state, ActiveKnowledgeBase):
        return None
    return knowledge_base_status(
        knowledge_base_id, state, row.counts, version=row.version, updated_at_us=row.updated_at_us
    )
