"""Envelopes with their type by its name and their facts as a map, as every program up to November 2026 wrote them.

Read for good, as logs and archives outlive a release; written where older programs are to read them. One MessagePack
array:

    event id 16 | stream id 18 | version | type | schema version | recorded_at_us | correlation id 18
    | causation id 16 or nil | actor or nil | trace parent or nil | facts
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import msgspec

from events.envelope import Envelope, Event, Fact, Position
from events.facts_by_name import MAPS, as_map
from events.ids import STREAM_IDS, pack_stream_id, unpack_stream_id
from events.packed_fields import PackedEventId, unpack_event_id
from events.type_codes import EVENT_TYPES
from events.unread_types import unread
from events.upcasters import current_version, reads_as_today, upcast
from events.wording import written_version


class _Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    event_id: PackedEventId
    stream_id: bytes
    version: int
    type: str
    schema_version: int
    recorded_at_us: int
    correlation_id: bytes
    causation_id: PackedEventId | None
    actor: str | None
    trace_parent: str | None
    facts: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_values_of = msgspec.structs.astuple
_frame_decoder = msgspec.msgpack.Decoder(_Frame)

_TYPE_AT: Final = 1 + 2 + 16 + 2 + 18 + 1
"""Where the type begins behind a version below 128: the array's head, two ids with theirs, one byte."""

_NAME_BYTES: Final = 0x1F
"""Of the byte before a name of up to 31 bytes: how many."""


class _Readers(dict[bytes, Callable[[bytes], Any]]):
    """By the bytes of type and schema version what reads a whole envelope, as a tuple of exactly the fields of
    `_Frame`: a struct for each type would have its fields looked for anew with each event. Made as they are asked for;
    raises KeyError for what is not read as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self._known = {
            _encoder.encode(name) + _encoder.encode(version): (name, version)
            for name in EVENT_TYPES
            for version in range(1, current_version(name) + 1)
            if reads_as_today(name, version)
        }

    def __missing__(self, key: bytes) -> Callable[[bytes], Any]:
        name, version = self._known[key]
        fields = (PackedEventId, bytes, int, Literal[name], Literal[version], int, bytes, PackedEventId | None)
        shape: Any = tuple.__class_getitem__((*fields, str | None, str | None, MAPS[EVENT_TYPES[name]]))
        read = self[key] = msgspec.msgpack.Decoder(shape).decode
        return read


_readers_at_once: Final = _Readers()


def encode_by_name(envelope: Envelope, fact: Fact) -> bytes:
    """Of an envelope that holds this fact."""
    return _encoder.encode(
        _Frame(
            event_id=bytes.fromhex(envelope.event_id),
            stream_id=pack_stream_id(envelope.stream_id),
            version=envelope.version,
            type=envelope.type,
            schema_version=written_version(fact),
            recorded_at_us=envelope.recorded_at_us,
            correlation_id=pack_stream_id(envelope.correlation_id),
            causation_id=bytes.fromhex(envelope.causation_id) if envelope.causation_id else None,
            actor=envelope.actor,
            trace_parent=envelope.trace_parent,
            facts=msgspec.Raw(_encoder.encode(as_map(fact))),
        )
    )


def decode_by_name_at_once(payload: bytes, position: Position | None, number: int | None) -> Envelope:
    """Raises KeyError, IndexError and `DAMAGED` for whatever is unusual."""
    read = _readers_at_once[payload[_TYPE_AT : _TYPE_AT + 2 + (payload[_TYPE_AT] & _NAME_BYTES)]]
    event_id, stream_id, version, _, _, at_us, correlation_id, causation_id, actor, trace_parent, facts = read(payload)
    return Envelope(
        unpack_event_id(event_id),
        STREAM_IDS[stream_id],
        version,
        EVENT_TYPES[type(facts).__name__](*_values_of(facts)),
        at_us,
        STREAM_IDS[correlation_id],
        unpack_event_id(causation_id) if causation_id else None,
        actor,
        trace_parent,
        position,
        number,
    )


def decode_by_name_in_steps(payload: bytes, position: Position | None, number: int | None) -> Envelope:
    """The frame first, its facts left raw, then those by their type. Raises CorruptEvent and `DAMAGED`."""
    frame = _frame_decoder.decode(payload)
    return Envelope(
        event_id=unpack_event_id(frame.event_id),
        stream_id=unpack_stream_id(frame.stream_id),
        version=frame.version,
        event=_event_of(frame),
        recorded_at_us=frame.recorded_at_us,
        correlation_id=unpack_stream_id(frame.correlation_id),
        causation_id=unpack_event_id(frame.causation_id) if frame.causation_id else None,
        actor=frame.actor,
        trace_parent=frame.trace_parent,
        position=position,
        number=number,
    )


@cache
def _facts_decoder(name: str) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(MAPS[EVENT_TYPES[name]])


def _event_of(frame: _Frame) -> Event:
    name, version = frame.type, frame.schema_version
    if (foreign := unread(name, version)) is not None:
        return foreign
    fact = EVENT_TYPES[name]
    if reads_as_today(name, version):
        return fact(*_values_of(_facts_decoder(name).decode(frame.facts)))
    facts = upcast(name, version, msgspec.msgpack.decode(frame.facts))
    return fact(*_values_of(msgspec.convert(facts, MAPS[fact])))
