"""Hypothesis strategies for values: ids, facts, envelopes.

Commands that fit a state are in `commands_by_state.py`, histories that really happened in `histories.py`.
"""

import types
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from domain.instant import utc
from domain.origin import Origin
from events import ids
from events.chunking import ChunkingSettings
from events.envelope import Envelope, Fact
from events.ids import DocumentId, EventId, KnowledgeBaseId, TaskId
from events.knowledge_base import ChunkerKind, FusionKind, KnowledgeBaseSettings
from events.log import Tally
from events.type_codes import EVENT_TYPES

PARTITIONS: Final = 4

KNOWLEDGE_BASE: Final = ids.knowledge_base_id(ids.uuid8_hex("strategies"), PARTITIONS)
TASKS: Final = tuple(ids.derived_task_id(KNOWLEDGE_BASE, f"task {n}", "tests") for n in range(8))
"""The first is the one that documents come in with; the others are there to reprocess them."""

DOCUMENTS: Final = tuple(ids.document_id(TASKS[0], ordinal) for ordinal in range(8))

counts = st.integers(0, 2**53)
names = st.text(min_size=1, max_size=20)
sha256s = st.binary(min_size=32, max_size=32).map(bytes.hex)
event_ids = st.tuples(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10)).map(
    lambda parts: EventId(ids.uuid7_hex(*parts))
)
knowledge_base_ids = event_ids.map(lambda unique: ids.knowledge_base_id(unique, PARTITIONS))
task_ids = st.tuples(knowledge_base_ids, names).map(lambda parts: ids.derived_task_id(*parts, "tests"))
document_ids = st.tuples(task_ids, st.integers(0, 999)).map(lambda parts: ids.document_id(*parts))
stream_ids: st.SearchStrategy[str] = st.one_of(knowledge_base_ids, task_ids, document_ids)
tallies = st.builds(Tally, *[st.integers(0, 3)] * 5)
knowledge_base_settings = st.builds(
    KnowledgeBaseSettings,
    chunker=st.sampled_from(ChunkerKind),
    chunk_tokens=st.sampled_from((128, 256)),
    vector_weight=st.none() | st.floats(0, 1),
    fusion=st.just(msgspec.UNSET) | st.sampled_from(FusionKind),
)

moments = st.integers(0, 2**53).map(utc)
origins = st.builds(Origin, url=names) | st.builds(Origin, object_key=names)

_BY_TYPE: Final[dict[object, st.SearchStrategy[Any]]] = {
    str: st.text(max_size=20),
    int: counts,
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: moments,
    Origin: origins,
    msgspec.UnsetType: st.just(msgspec.UNSET),
    KnowledgeBaseId: knowledge_base_ids,
    TaskId: task_ids,
    DocumentId: document_ids,
    KnowledgeBaseSettings: knowledge_base_settings,
    ChunkingSettings: knowledge_base_settings.map(ChunkingSettings.of),
    Tally: tallies,
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type; raises TypeError for one that no event and no command has had so far."""
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return of_type(arguments[0])
    if origin in (Union, types.UnionType):
        return st.one_of(*map(of_type, arguments))
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=3)
    raise TypeError(f"no strategy for {kind}")


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any values that the fields' types allow; nothing says that they make sense together."""
    return st.builds(kind, **{field.name: of_type(field.type) for field in msgspec.structs.fields(kind)})


def facts() -> st.SearchStrategy[Fact]:
    """Every event type, with any values."""
    return st.one_of(*map(structs, EVENT_TYPES.values()))


def envelopes() -> st.SearchStrategy[Envelope]:
    """Any fact in any stream, as a writer hands it in."""
    return st.builds(
        Envelope,
        event_id=event_ids,
        stream_id=stream_ids,
        version=st.integers(1, 2**31),
        event=facts(),
        recorded_at_us=st.integers(0, 2**52),
        correlation_id=stream_ids,
        causation_id=st.none() | event_ids,
        actor=st.none() | names,
        trace_parent=st.none() | names,
    )
