"""Pointers and timers are as small as their ids allow, and bytes that are none are refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import CorruptEvent
from events.inbox import InboxKey
from events.pointer import (
    INBOX_CODES,
    Pointer,
    delivery_of,
    inbox_of_timer,
    pack_pointer,
    pack_timer,
    unpack_pointer,
)
from events.steps import Lane, Step
from tests.strategies import event_ids, knowledge_base_ids, stream_ids

POINTERS = st.builds(Pointer, stream_ids, st.integers(1, 2**32 - 1), event_ids, stream_ids, knowledge_base_ids)


@given(POINTERS, st.sampled_from(Step), st.sampled_from(Lane))
def test_a_pointer_survives_inbox_and_timer(pointer: Pointer, step: Step, lane: Lane) -> None:
    packed = pack_pointer(pointer)
    assert len(packed) == 74
    assert unpack_pointer(packed) == pointer
    timer = pack_timer(step, lane, packed)
    assert (inbox_of_timer(timer), timer[1:]) == ((step, lane), packed)


def within(partition: int, stream: str) -> str:
    kind, _, rest = stream.partition("_")
    return f"{kind}_{partition:02x}{rest[2:]}"


def moved(pointer: Pointer, partition: int) -> Pointer:
    """The same document's, task's or knowledge base's, of that partition."""
    return msgspec.structs.replace(
        pointer,
        stream_id=within(partition, pointer.stream_id),
        correlation_id=within(partition, pointer.correlation_id),
        knowledge_base_id=within(partition, pointer.knowledge_base_id),
    )


@given(st.builds(moved, POINTERS, st.just(3)).filter(lambda pointer: pointer.stream_id.startswith("doc_")))
def test_a_delivery_tells_what_the_pointer_says_and_where_it_lay(pointer: Pointer) -> None:
    found = delivery_of(InboxKey(3, Step.EMBED, Lane.BULK), "5-1", pack_pointer(pointer))
    assert (found.partition, found.step, found.lane, found.entry_id) == (3, Step.EMBED, Lane.BULK, "5-1")
    assert (
        Pointer(found.stream_id, found.version, found.event_id, found.correlation_id, found.knowledge_base_id)
        == pointer
    )


@given(st.builds(moved, POINTERS, st.just(2)))
def test_a_pointer_into_another_partition_is_refused(pointer: Pointer) -> None:
    with pytest.raises(CorruptEvent):
        delivery_of(InboxKey(3, Step.ERASE, Lane.BULK), "5-1", pack_pointer(pointer))


@pytest.mark.parametrize("step", [Step.FETCH, Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX])
@given(st.builds(moved, POINTERS, st.just(3)).filter(lambda pointer: not pointer.stream_id.startswith("doc_")))
def test_a_step_of_documents_refuses_what_is_none(step: Step, pointer: Pointer) -> None:
    with pytest.raises(CorruptEvent):
        delivery_of(InboxKey(3, step, Lane.BULK), "5-1", pack_pointer(pointer))


@given(st.binary(max_size=90))
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(CorruptEvent):
        unpack_pointer(packed)


def test_the_codes_of_inboxes_are_dense_and_as_they_ever_were() -> None:
    assert list(INBOX_CODES.values()) == list(range(1, len(INBOX_CODES) + 1))
    assert set(INBOX_CODES) == {(step, lane) for step in Step for lane in Lane}
    written_by_the_first_release = [
        *("parse", "chunk", "embed", "index", "finish", "callback", "erase"),
    ]
    assert [step for step, lane in INBOX_CODES if lane is Lane.BULK][:7] == written_by_the_first_release
    with pytest.raises(CorruptEvent):
        inbox_of_timer(b"\xff")
