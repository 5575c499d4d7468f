"""Hypothesis strategies for every event type and for whole envelopes."""

import msgspec
from hypothesis import strategies as st

from events.codec import EVENT_TYPES
from events.document import DocumentAccepted
from events.envelope import Envelope, Fact
from events.ids import DocumentId, EventId, KnowledgeBaseId, TaskId, uuid7_hex

_INTEGERS = st.integers(-(2**63), 2**64 - 1)
_TEXT = st.text(max_size=30)


def ids(prefix: str) -> st.SearchStrategy[str]:
    """Well-formed ids of one kind, in any partition."""
    return st.builds(
        lambda partition, ms, rest: f"{prefix}_{partition:02x}{uuid7_hex(ms, rest)}",
        st.integers(0, 255),
        st.integers(0, (1 << 48) - 1),
        st.binary(min_size=10, max_size=10),
    )


KNOWLEDGE_BASES = ids("kb").map(KnowledgeBaseId)
TASKS = ids("task").map(TaskId)
DOCUMENTS = ids("doc").map(DocumentId)
STREAMS = st.one_of(ids("kb"), ids("task"), ids("doc"))
EVENT_IDS = st.builds(uuid7_hex, st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10)).map(EventId)

st.register_type_strategy(int, _INTEGERS)

_METADATA = st.dictionaries(_TEXT, st.one_of(_TEXT, _INTEGERS, st.booleans(), st.floats(allow_nan=False)), max_size=4)


def facts_of(fact: type[Fact]) -> st.SearchStrategy[Fact]:
    """Any values in any field of one event type."""
    hints = msgspec.inspect.type_info(fact)
    assert isinstance(hints, msgspec.inspect.StructType)
    if fact is DocumentAccepted:
        return st.builds(fact, metadata=_METADATA)
    return st.builds(fact)


FACTS: st.SearchStrategy[Fact] = st.sampled_from(list(EVENT_TYPES.values())).flatmap(facts_of)


@st.composite
def envelopes(draw: st.DrawFn, facts: st.SearchStrategy[Fact] = FACTS) -> Envelope:
    """Whole envelopes as a writer makes them: without position and number."""
    return Envelope(
        event_id=draw(EVENT_IDS),
        stream_id=draw(STREAMS),
        version=draw(st.integers(1, 100_000)),
        event=draw(facts),
        recorded_at_us=draw(st.integers(0, 2**53)),
        correlation_id=draw(STREAMS),
        causation_id=draw(st.none() | EVENT_IDS),
        actor=draw(st.none() | _TEXT),
        trace_parent=draw(st.none() | _TEXT),
    )
