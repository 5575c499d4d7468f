"""Envelopes with their type by its number and their facts as an array: what is written. One MessagePack array:

    event id 16 | code of the type | schema version | facts | stream id 18, correlation id 18 where it is another
    | version | recorded_at_us | causation id 16 or nil | actor or nil | trace parent or nil

The code is one byte, at a fixed place.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import msgspec

from events.envelope import Envelope, Event, Fact, Position
from events.facts_by_name import MAPS
from events.facts_by_place import SHAPES, Finish, named
from events.packed_fields import (
    PackedEventId,
    pack_trace_parent,
    unpack_event_id,
    unpack_trace_parent,
)
from events.pairs import PAIRS, pack_pair
from events.type_codes import EVENT_TYPES, TYPE_CODES, TYPES_BY_CODE, name_of
from events.unread_types import unread
from events.upcasters import CURRENT_VERSIONS, EARLIER_FIELDS, current_version, reads_as_today, upcast
from events.wording import written_version


class _Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    event_id: PackedEventId
    code: int
    schema_version: int
    facts: msgspec.Raw
    pair: bytes
    version: int
    recorded_at_us: int
    causation_id: PackedEventId | None
    actor: str | None
    trace_parent: Any


_encode = msgspec.msgpack.Encoder().encode
_frame_decoder = msgspec.msgpack.Decoder(_Frame)

TYPE_AT: Final = 1 + 2 + 16
"""Where the code of the type lies: behind the array's head and the event id with its own."""


def encode_by_place(envelope: Envelope, fact: Fact) -> bytes:
    """Of an envelope that holds this fact."""
    stream_id, correlation_id = envelope.stream_id, envelope.correlation_id
    causation_id, trace_parent = envelope.causation_id, envelope.trace_parent
    name = type(fact).__name__
    return _encode(
        (
            bytes.fromhex(envelope.event_id),
            TYPE_CODES[name],
            written_version(fact) if name in CURRENT_VERSIONS else 1,
            SHAPES[type(fact)].values(fact, stream_id, correlation_id),
            pack_pair(stream_id, correlation_id),
            envelope.version,
            envelope.recorded_at_us,
            bytes.fromhex(causation_id) if causation_id else None,
            envelope.actor,
            pack_trace_parent(trace_parent) if trace_parent else trace_parent,
        )
    )


Reader = tuple[Callable[[bytes], Any], Finish | None]
"""What reads an envelope as a tuple of exactly the fields of `_Frame`, and what makes the fact of its facts."""


def reader_of(name: str) -> Reader | None:
    """None for a type of which no version is read as it stands. What is needed is made with the first event: 2 ms for
    all types, which a command that reads no events need not wait for."""
    versions = [version for version in range(1, current_version(name) + 1) if reads_as_today(name, version)]
    code = TYPE_CODES[name]

    def read_the_first(payload: bytes) -> Any:
        shape = SHAPES[EVENT_TYPES[name]]
        head = (PackedEventId, Literal[code], Literal[tuple(versions)], shape.wire, bytes, int, int)
        whole: Any = tuple.__class_getitem__((*head, PackedEventId | None, str | None, Any))
        read = msgspec.msgpack.Decoder(whole).decode
        READERS[code] = (read, shape.finish)
        event_id, _, version, fact, pair, *rest = read(payload)
        return event_id, code, version, fact if shape.finish is None else shape.finish(fact, *PAIRS[pair]), pair, *rest

    return (read_the_first, None) if versions else None


READERS: Final[list[Reader | None]] = [
    None if name is None else reader_of(name) for name in (TYPES_BY_CODE.get(code) for code in range(256))
]
"""By the byte at `TYPE_AT`."""


def decode_by_place_in_steps(payload: bytes, position: Position | None, number: int | None) -> Envelope:
    """The frame first, its facts left raw, then those by their type. Raises CorruptEvent and `DAMAGED`."""
    frame = _frame_decoder.decode(payload)
    stream_id, correlation_id = PAIRS[frame.pair]
    return Envelope(
        event_id=unpack_event_id(frame.event_id),
        stream_id=stream_id,
        version=frame.version,
        event=_event_of(frame, stream_id, correlation_id),
        recorded_at_us=frame.recorded_at_us,
        correlation_id=correlation_id,
        causation_id=unpack_event_id(frame.causation_id) if frame.causation_id else None,
        actor=frame.actor,
        trace_parent=unpack_trace_parent(frame.trace_parent),
        position=position,
        number=number,
    )


def stream_version_by_place(payload: bytes) -> tuple[str, int]:
    """Raises `DAMAGED`."""
    frame = _frame_decoder.decode(payload)
    return PAIRS[frame.pair][0], frame.version


def _event_of(frame: _Frame, stream_id: str, correlation_id: str) -> Event:
    name, version = name_of(frame.code), frame.schema_version
    if (foreign := unread(name, version)) is not None:
        return foreign
    shape = SHAPES[EVENT_TYPES[name]]
    if not reads_as_today(name, version):
        earlier = msgspec.msgpack.decode(frame.facts, type=list[Any])
        facts = upcast(name, version, named(EARLIER_FIELDS[name, version], earlier, stream_id, correlation_id))
        return shape.fact(*msgspec.structs.astuple(msgspec.convert(facts, MAPS[shape.fact])))
    read = _facts_decoder(name).decode(frame.facts)
    fact: Fact = read if shape.finish is None else shape.finish(read, stream_id, correlation_id)
    return fact


@cache
def _facts_decoder(name: str) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(SHAPES[EVENT_TYPES[name]].wire)
