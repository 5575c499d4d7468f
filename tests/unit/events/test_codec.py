"""An envelope survives the wire in either form; what cannot be read ends in three different ways."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode, encode, stream_version_of
from events.document import DocumentIndexed
from events.envelope import Envelope, Event, Position, UnknownEvent, UnknownReason
from events.errors import CorruptEvent
from events.log import EVENT_BYTES_MAX
from events.type_codes import EVENT_TYPES
from tests.event_samples import accepted, envelope, indexed, new_document, new_knowledge_base, new_task
from tests.strategies import envelopes


def sample() -> Envelope:
    task = new_task()
    return envelope(new_document(), 1, accepted(task, new_knowledge_base()), task=task)


by_name_or_place = pytest.mark.parametrize("by_name", [False, True], ids=["by place", "by name"])

PLACES = {
    False: {"event_id": 0, "type": 1, "schema": 2, "facts": 3, "pair": 4, "version": 5, "at": 6, "causation": 7},
    True: {
        "event_id": 0,
        "stream": 1,
        "version": 2,
        "type": 3,
        "schema": 4,
        "at": 5,
        "task": 6,
        "causation": 7,
        "facts": 10,
    },
}
"""Where each field lies in the array, by form."""

FUTURE_TYPE: dict[bool, str | int] = {False: 126, True: "DocumentTranslated"}


def frame_of(payload: bytes) -> list[Any]:
    frame = msgspec.msgpack.decode(payload)
    assert isinstance(frame, list)
    return frame


@by_name_or_place
@given(wanted=envelopes())
def test_an_envelope_comes_back_as_it_was_written(wanted: Envelope, by_name: bool) -> None:
    payload = encode(wanted, by_name=by_name)
    assert decode(payload) == wanted
    assert type(decode(payload).event) is type(wanted.event)
    assert encode(decode(payload), by_name=by_name) == payload


@given(envelopes())
def test_both_forms_say_the_same_and_the_one_that_is_written_is_shorter(wanted: Envelope) -> None:
    by_place, by_name = encode(wanted), encode(wanted, by_name=True)
    assert decode(by_place) == decode(by_name)
    assert len(by_place) < len(by_name)
    assert stream_version_of(by_place) == stream_version_of(by_name) == (wanted.stream_id, wanted.version)


@by_name_or_place
@given(wanted=envelopes(), data=st.data())
def test_bytes_are_read_the_same_whether_their_type_lies_where_types_mostly_begin(
    wanted: Envelope, data: st.DataObject, by_name: bool
) -> None:
    """The array's head in its longer form moves all that follows by two bytes, so that it is read in two steps."""
    payload = bytearray(encode(wanted, by_name=by_name))
    for _ in range(data.draw(st.integers(0, 2))):
        payload[data.draw(st.integers(1, len(payload) - 1))] = data.draw(st.integers(0, 255))
    moved = b"\xdc\x00" + bytes([payload[0] & 0x0F]) + payload[1:]
    assert _read(bytes(payload)) == _read(moved)


def _read(payload: bytes) -> Envelope | None:
    try:
        return decode(payload)
    except CorruptEvent:
        return None


@by_name_or_place
@given(wanted=envelopes())
def test_the_event_id_lies_where_the_append_script_looks_for_it(wanted: Envelope, by_name: bool) -> None:
    assert encode(wanted, by_name=by_name)[3:19].hex() == wanted.event_id


def test_position_and_number_are_the_log_s_and_stay_outside() -> None:
    wanted, position = sample(), Position(1, 2, 3)
    found = decode(encode(msgspec.structs.replace(wanted, position=position, number=7)))
    assert (found.position, found.number) == (None, None)
    found = decode(encode(wanted), position=position, number=7)
    assert found == msgspec.structs.replace(wanted, position=position, number=7)


def test_every_fact_of_the_union_has_a_decoder() -> None:
    facts = {fact.__name__ for fact in get_args(Event) if fact is not UnknownEvent}
    assert set(EVENT_TYPES) == facts


@by_name_or_place
def test_a_type_from_the_future_keeps_its_place_in_the_stream(by_name: bool) -> None:
    wanted = sample()
    frame = frame_of(encode(wanted, by_name=by_name))
    frame[PLACES[by_name]["type"]] = FUTURE_TYPE[by_name]
    found = decode(msgspec.msgpack.encode(frame))
    name = "type_126" if not by_name else "DocumentTranslated"
    assert found == msgspec.structs.replace(wanted, event=UnknownEvent(name, 1, UnknownReason.UNKNOWN_TYPE))
    assert found.type == name


@by_name_or_place
def test_a_newer_version_of_a_known_type_keeps_its_place_in_the_stream(by_name: bool) -> None:
    wanted = sample()
    frame = frame_of(encode(wanted, by_name=by_name))
    frame[PLACES[by_name]["schema"]] = 2
    frame[PLACES[by_name]["facts"]] = {"renamed": True} if by_name else ["other", ["facts"]]
    found = decode(msgspec.msgpack.encode(frame))
    unknown = UnknownEvent("DocumentAccepted", 2, UnknownReason.NEWER_VERSION)
    assert found == msgspec.structs.replace(wanted, event=unknown)


def test_a_field_from_the_future_is_ignored() -> None:
    wanted = sample()
    frame = frame_of(encode(wanted, by_name=True))
    frame[10]["colour"] = "blue"
    assert decode(msgspec.msgpack.encode([*frame, "an eleventh field"])) == wanted


def test_a_field_from_the_future_is_ignored_behind_all_that_there_are_today() -> None:
    task = new_task()
    facts = DocumentIndexed(generation=1, chunks=3, edits_lost=("c1",), is_stale=True)
    wanted = envelope(new_document(), 9, facts, task=task)
    frame = frame_of(encode(wanted))
    frame[3] += ["blue", {"more": [1]}]
    assert decode(msgspec.msgpack.encode([*frame, "an eleventh field"])) == wanted
    frame[3] += ["and so on"] * 20
    assert decode(msgspec.msgpack.encode(frame)) == wanted


@pytest.mark.parametrize(
    ("by_name", "field", "value"),
    [
        (True, "event_id", "text"),
        (True, "event_id", b"short"),
        (True, "causation", b"short"),
        (True, "stream", b"x" + bytes(17)),
        (True, "stream", b""),
        (True, "version", "1"),
        (True, "type", 5),
        (True, "schema", 0),
        (True, "at", None),
        (True, "task", b"?"),
        (True, "facts", [1]),
        (True, "facts", {}),
        (False, "event_id", "text"),
        (False, "event_id", b"short"),
        (False, "causation", b"short"),
        (False, "pair", b"x" + bytes(17)),
        (False, "pair", b""),
        (False, "version", "1"),
        (False, "type", "StepStarted"),
        (False, "type", None),
        (False, "schema", 0),
        (False, "at", None),
        (False, "facts", {"generation": 1}),
        (False, "facts", [1]),
        (False, "facts", []),
    ],
)
def test_a_damaged_field_is_a_corrupt_event(by_name: bool, field: str, value: object) -> None:
    frame = frame_of(encode(sample(), by_name=by_name))
    frame[PLACES[by_name][field]] = value
    with pytest.raises(CorruptEvent):
        decode(msgspec.msgpack.encode(frame))


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, None), (0, b"k" + bytes(17)), (0, 7), (1, b"?"), (2, b"a.txt"), (5, b"ab"), (5, 1), (6, b"x")],
)
def test_a_damaged_fact_is_a_corrupt_event(place: int, value: object) -> None:
    frame = frame_of(encode(sample()))
    frame[3][place] = value
    with pytest.raises(CorruptEvent):
        decode(msgspec.msgpack.encode(frame))


@pytest.mark.parametrize("value", [b"short", 5, ["no text"]])
def test_so_is_a_damaged_trace_parent(value: object) -> None:
    frame = frame_of(encode(sample()))
    frame[9] = value
    with pytest.raises(CorruptEvent):
        decode(msgspec.msgpack.encode(frame))


@given(st.binary(max_size=200))
def test_random_bytes_are_a_corrupt_event(payload: bytes) -> None:
    with pytest.raises(CorruptEvent):
        decode(payload)


@by_name_or_place
@given(data=st.data())
def test_a_cut_or_flipped_payload_never_raises_anything_else(data: st.DataObject, by_name: bool) -> None:
    payload = bytearray(encode(sample(), by_name=by_name))
    end = data.draw(st.integers(0, len(payload) - 1))
    payload[end] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(payload), bytes(payload[:end])):
        try:
            found = decode(damaged)
        except CorruptEvent:
            continue
        assert isinstance(found, Envelope)


def test_deep_nesting_is_a_corrupt_event() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    by_name, by_place = (frame_of(encode(sample(), by_name=by_name)) for by_name in (True, False))
    head = msgspec.msgpack.encode(by_name[:10])
    with pytest.raises(CorruptEvent):
        decode(b"\x9b" + head[1:] + b"\x81\xa1x" + deep)
    with pytest.raises(CorruptEvent):
        decode(b"\x9a" + msgspec.msgpack.encode(by_place[:3])[1:] + deep)


def test_an_unreadable_event_cannot_be_written() -> None:
    unknown = msgspec.structs.replace(sample(), event=UnknownEvent("X", 1, UnknownReason.UNKNOWN_TYPE))
    with pytest.raises(TypeError):
        encode(unknown)


def test_a_usual_event_is_small() -> None:
    task = new_task()
    assert len(encode(envelope(new_document(), 9, indexed(), task=task))) < 80
    assert len(encode(sample())) < 200 < EVENT_BYTES_MAX
