"""Document rows: the folded state as it stands, which is the snapshot of the stream too.

Lists: the documents of a knowledge base, all, by status and by each value of their metadata, by the time of their
acceptance; a removed document leaves them. Dead letters by the time of their failure, a list for each way to ask for
them. A task's own documents need no list (their ids follow from the task's), those that entered it by reprocessing do.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final

import msgspec

from domain.dead_letters import DeadLetterQuery
from domain.decider import Folded, apply
from domain.deciders import DOCUMENT
from domain.document import (
    Cancelled,
    DocumentState,
    Erased,
    Failed,
    Indexed,
    Removed,
    Skipped,
    Unknown,
    is_recorded,
    record_of,
)
from domain.status import DocumentPhase, DocumentStatus, document_phase, document_status
from events.document import MetadataValue
from events.envelope import Envelope, UnknownEvent
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from projections.projection import DOCUMENTS, IndexEntry, Table, member
from projections.row_packing import pack, unpack

METADATA_INDEXES_CACHED: Final = 4_096
"""A document's lists are told twice an event."""

WHOLE_MAX: Final = 1e15
"""Above it a float no longer tells whole numbers apart with certainty, and is written with its exponent."""


ENDED: Final = frozenset({Indexed, Failed, Cancelled, Skipped, Removed, Erased})
"""States in which a document rests, mostly for good: their rows are packed, and nobody keeps them at hand."""


class DocumentRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One document at a version of its stream; `updated_at_us` is the latest event's time."""

    folded: Folded[DocumentState]
    updated_at_us: int = 0

    @property
    def version(self) -> int:
        return self.folded.version


NEW = DocumentRow(Folded(DOCUMENT.initial))

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DocumentRow)


class DocumentProjection:
    """Projection[DocumentRow]."""

    @property
    def table(self) -> Table:
        return DOCUMENTS

    def decode(self, payload: bytes) -> DocumentRow:
        return _decoder.decode(unpack(payload))

    def encode(self, row: DocumentRow) -> bytes:
        payload = _encoder.encode(row)
        return pack(payload) if is_at_rest(row) else payload

    def follow(self, row: DocumentRow | None, envelope: Envelope) -> DocumentRow:
        known = row or NEW
        folded = apply(DOCUMENT.evolve, known.folded, envelope)
        if folded is known.folded:
            return known
        if isinstance(envelope.event, UnknownEvent):
            return DocumentRow(folded, known.updated_at_us)
        return DocumentRow(folded, max(known.updated_at_us, envelope.recorded_at_us))

    def entries(self, row_id: str, row: DocumentRow) -> tuple[IndexEntry, ...]:
        state = row.folded.state
        if type(state) is Unknown:
            return ()
        place = member(accepted_at_us(state), row_id)
        indexes = [IndexEntry(index, place) for index in _lists_of(state)]
        if type(state) is Failed:
            died = member(state.ended_at_us, row_id)
            indexes += (IndexEntry(dead_letters_index(query), died) for query in _ways_to_ask_for(state))
        return tuple(indexes)


def is_at_rest(row: DocumentRow) -> bool:
    return type(row.folded.state) in ENDED


def status_of(document_id: DocumentId, row: DocumentRow) -> DocumentStatus | None:
    """What a client sees; None for a document that does not exist."""
    return document_status(document_id, row.folded.state, version=row.version, updated_at_us=row.updated_at_us)


def knowledge_base_of(state: DocumentState) -> KnowledgeBaseId:
    """Asked of a known state only."""
    return DOCUMENT.placement(state).knowledge_base_id


def accepted_at_us(state: DocumentState) -> int:
    """When the document came in: its place in every list. Asked of a known state only."""
    if is_recorded(state):
        return record_of(state).about.accepted_at_us
    match state:
        case Skipped():
            return state.accepted_at_us
        case Removed() | Erased():
            return accepted_at_us(state.before)
        case _:
            raise ValueError("a document that does not exist came in at no time")


def reprocessed_under(state: DocumentState) -> tuple[TaskId, ...]:
    """The tasks, oldest first, that the document entered later than the one it came in with."""
    if is_recorded(state):
        record = record_of(state)
        return (*record.earlier_tasks, record.about.task_id)[1:]
    match state:
        case Skipped():
            return (*state.earlier_tasks, state.task_id)[1:]
        case Removed() | Erased():
            return reprocessed_under(state.before)
        case _:
            return ()


def documents_index(knowledge_base: KnowledgeBaseId, phase: DocumentPhase | None = None) -> str:
    """The documents of a knowledge base, all or those of one status."""
    return f"{knowledge_base}/documents" if phase is None else f"{knowledge_base}/documents/{phase.value}"


@lru_cache(maxsize=METADATA_INDEXES_CACHED)
def metadata_index(knowledge_base: KnowledgeBaseId, key: str, text: str) -> str:
    """The documents with one value of one key. Both are free text of any length, so their SHA-256 stands in the key."""
    digest = hashlib.sha256(f"{key}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{knowledge_base}/documents/metadata/{digest}"


def metadata_text(value: MetadataValue) -> str:
    """A value as a query writes it: true and false, whole numbers without a point, text as it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < WHOLE_MAX:
            return str(int(value))
        case _:
            return str(value)


def task_documents_index(task: TaskId) -> str:
    """The documents that a task worked on though they came in with another."""
    return f"{task}/documents"


def dead_letters_index(query: DeadLetterQuery) -> str:
    """The dead letters that a query means, whatever its `since_us`: that is a place in the list."""
    parts = (query.knowledge_base_id, query.code, query.step and query.step.value)
    return "/".join(("dead", *(part or "-" for part in parts)))


def _ways_to_ask_for(state: Failed) -> Iterator[DeadLetterQuery]:
    knowledge_base = knowledge_base_of(state)
    for owner, code, step in product((None, knowledge_base), (None, state.code), (None, state.step)):
        yield DeadLetterQuery(knowledge_base_id=owner, code=code, step=step)


def _lists_of(state: DocumentState) -> list[str]:
    """But for the dead letters; each once."""
    if is_recorded(state):
        record = record_of(state)
        about = record.about
        lists = [*_documents_indexes(about.knowledge_base_id, document_phase(state))]
        if record.earlier_tasks:
            lists += map(task_documents_index, dict.fromkeys(reprocessed_under(state)))
        for key, value in about.metadata.items():
            lists.append(metadata_index(about.knowledge_base_id, key, metadata_text(value)))
        return lists
    lists = list(map(task_documents_index, dict.fromkeys(reprocessed_under(state))))
    if type(state) is Skipped:
        lists += _documents_indexes(state.knowledge_base_id, document_phase(state))
    return lists


@lru_cache(maxsize=METADATA_INDEXES_CACHED)
def _documents_indexes(knowledge_base: KnowledgeBaseId, phase: DocumentPhase) -> tuple[str, str]:
    return documents_index(knowledge_base), documents_index(knowledge_base, phase)
