"""An envelope survives the wire; what cannot be read ends in three different ways."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import EVENT_TYPES, decode, encode
from events.envelope import Envelope, Event, Position, UnknownEvent, UnknownReason
from events.errors import CorruptEvent
from events.log import EVENT_BYTES_MAX
from tests.event_samples import accepted, envelope, indexed, new_document, new_knowledge_base, new_task
from tests.strategies import envelopes


def sample() -> Envelope:
    task = new_task()
    return envelope(new_document(), 1, accepted(task, new_knowledge_base()), task=task)


def frame_of(payload: bytes) -> list[Any]:
    frame = msgspec.msgpack.decode(payload)
    assert isinstance(frame, list)
    return frame


@given(envelopes())
def test_an_envelope_comes_back_as_it_was_written(wanted: Envelope) -> None:
    payload = encode(wanted)
    assert decode(payload) == wanted
    assert encode(decode(payload)) == payload


@given(envelopes(), st.data())
def test_bytes_are_read_the_same_whether_their_type_lies_where_types_mostly_begin(
    wanted: Envelope, data: st.DataObject
) -> None:
    """The array's head in its longer form moves all that follows by two bytes, so that it is read in two steps."""
    payload = bytearray(encode(wanted))
    for _ in range(data.draw(st.integers(0, 2))):
        payload[data.draw(st.integers(1, len(payload) - 1))] = data.draw(st.integers(0, 255))
    moved = b"\xdc\x00" + bytes([payload[0] & 0x0F]) + payload[1:]
    assert _read(bytes(payload)) == _read(moved)


def _read(payload: bytes) -> Envelope | None:
    try:
        return decode(payload)
    except CorruptEvent:
        return None


@given(envelopes())
def test_the_event_id_lies_where_the_append_script_looks_for_it(wanted: Envelope) -> None:
    assert encode(wanted)[3:19].hex() == wanted.event_id


def test_position_and_number_are_the_log_s_and_stay_outside() -> None:
    wanted, position = sample(), Position(1, 2, 3)
    found = decode(encode(msgspec.structs.replace(wanted, position=position, number=7)))
    assert (found.position, found.number) == (None, None)
    found = decode(encode(wanted), position=position, number=7)
    assert found == msgspec.structs.replace(wanted, position=position, number=7)


def test_every_fact_of_the_union_has_a_decoder() -> None:
    facts = {fact.__name__ for fact in get_args(Event) if fact is not UnknownEvent}
    assert set(EVENT_TYPES) == facts


def test_a_type_from_the_future_keeps_its_place_in_the_stream() -> None:
    frame = frame_of(encode(sample()))
    frame[3] = "DocumentTranslated"
    found = decode(msgspec.msgpack.encode(frame))
    assert found.event == UnknownEvent("DocumentTranslated", 1, UnknownReason.UNKNOWN_TYPE)
    assert (found.version, found.type) == (1, "DocumentTranslated")


def test_a_newer_version_of_a_known_type_keeps_its_place_in_the_stream() -> None:
    frame = frame_of(encode(sample()))
    frame[4] = 2
    frame[10] = {"renamed": True}
    found = decode(msgspec.msgpack.encode(frame))
    assert found.event == UnknownEvent("DocumentAccepted", 2, UnknownReason.NEWER_VERSION)


def test_a_field_from_the_future_is_ignored() -> None:
    wanted = sample()
    frame = frame_of(encode(wanted))
    frame[10]["colour"] = "blue"
    assert decode(msgspec.msgpack.encode([*frame, "an eleventh field"])) == wanted


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "text"),
        (0, b"short"),
        (7, b"short"),
        (1, b"x" + bytes(17)),
        (1, b""),
        (2, "1"),
        (3, 5),
        (4, 0),
        (5, None),
        (6, b"?"),
        (10, [1]),
        (10, {}),
    ],
)
def test_a_damaged_field_is_a_corrupt_event(place: int, value: object) -> None:
    frame = frame_of(encode(sample()))
    frame[place] = value
    with pytest.raises(CorruptEvent):
        decode(msgspec.msgpack.encode(frame))


@given(st.binary(max_size=200))
def test_random_bytes_are_a_corrupt_event(payload: bytes) -> None:
    with pytest.raises(CorruptEvent):
        decode(payload)


@given(st.data())
def test_a_cut_or_flipped_payload_never_raises_anything_else(data: st.DataObject) -> None:
    payload = bytearray(encode(sample()))
    end = data.draw(st.integers(0, len(payload) - 1))
    payload[end] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(payload), bytes(payload[:end])):
        try:
            found = decode(damaged)
        except CorruptEvent:
            continue
        assert isinstance(found, Envelope)


def test_deep_nesting_is_a_corrupt_event() -> None:
    frame = frame_of(encode(sample()))
    payload = msgspec.msgpack.encode(frame[:10])
    with pytest.raises(CorruptEvent):
        decode(b"\x9b" + payload[1:] + b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0")


def test_an_unreadable_event_cannot_be_written() -> None:
    unknown = msgspec.structs.replace(sample(), event=UnknownEvent("X", 1, UnknownReason.UNKNOWN_TYPE))
    with pytest.raises(TypeError):
        encode(unknown)


def test_a_usual_event_is_small() -> None:
    task = new_task()
    assert len(encode(envelope(new_document(), 9, indexed(), task=task))) < 120
    assert len(encode(sample())) < 500 < EVENT_BYTES_MAX
