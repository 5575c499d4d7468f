"""Pointers and timers are as small as their ids allow, and bytes that are none are refused."""

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


@given(POINTERS)
def test_a_delivery_tells_what_the_pointer_says_and_where_it_lay(pointer: Pointer) -> None:
    found = delivery_of(InboxKey(3, Step.EMBED, Lane.BULK), "5-1", pack_pointer(pointer))
    assert (found.partition, found.step, found.lane, found.entry_id) == (3, Step.EMBED, Lane.BULK, "5-1")
    assert (
        Pointer(found.stream_id, found.version, found.event_id, found.correlation_id, found.knowledge_base_id)
        == pointer
    )


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
