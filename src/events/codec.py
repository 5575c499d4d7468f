"""Envelope <-> bytes.

There are two forms. One is written (`codec_by_place`), and one is what every program before it wrote
(`codec_by_name`); both are read for good. Behind the event id the one has a small number, the other the bytes of an
id, so the 20th byte tells them apart. In both the event id comes first, at a fixed offset: `append.lua` recognises a
repeated call by it. Ids travel as bytes (18 a stream, 16 an event): as text they were more than half of a typical
event.

An unknown type, a newer version and a corrupt payload end differently: the first two as `UnknownEvent`, which keeps its
place in the stream, the last as `CorruptEvent`. Nearly every envelope is of a known type with its fields where they
mostly are: such a one is read in one step, and whatever is unusual in two.
"""

from typing import Final

import msgspec

from events.codec_by_name import decode_by_name_at_once, decode_by_name_in_steps, encode_by_name
from events.codec_by_place import (
    READERS,
    TYPE_AT,
    decode_by_place_in_steps,
    encode_by_place,
    stream_version_by_place,
)
from events.envelope import Envelope, Position, UnknownEvent
from events.errors import CorruptEvent
from events.ids import unpack_stream_id
from events.packed_fields import DAMAGED, unpack_event_id, unpack_trace_parent
from events.pairs import PAIRS


class _Start(msgspec.Struct, frozen=True, array_like=True):
    """What tells the forms apart: behind the event id the number of a type or the bytes of a stream's id; and behind
    those the version of the schema or of the stream."""

    event_id: bytes
    second: int | bytes
    version: int


_start_decoder = msgspec.msgpack.Decoder(_Start)

_UNUSUAL: Final = (KeyError, IndexError, *DAMAGED)


def encode(envelope: Envelope, *, by_name: bool = False) -> bytes:
    """The wire form; position and number are the log's and stay outside. `by_name`: as older programs read it."""
    fact = envelope.event
    if isinstance(fact, UnknownEvent):
        raise TypeError("an event that this program cannot read cannot be written by it")
    return encode_by_name(envelope, fact) if by_name else encode_by_place(envelope, fact)


def decode(payload: bytes, *, position: Position | None = None, number: int | None = None) -> Envelope:
    """Raises CorruptEvent; a type or version from the future comes back as `UnknownEvent`."""
    try:
        reader = READERS[payload[TYPE_AT]]
        if reader is None:
            return decode_by_name_at_once(payload, position, number)
        read, finish = reader
        event_id, _, _, fact, pair, version, at_us, causation_id, actor, trace_parent = read(payload)
        stream_id, correlation_id = PAIRS[pair]
        return Envelope(
            unpack_event_id(event_id),
            stream_id,
            version,
            fact if finish is None else finish(fact, stream_id, correlation_id),
            at_us,
            correlation_id,
            unpack_event_id(causation_id) if causation_id else None,
            actor,
            None if trace_parent is None else unpack_trace_parent(trace_parent),
            position,
            number,
        )
    except _UNUSUAL:
        pass
    try:
        if isinstance(_start_decoder.decode(payload).second, bytes):
            return decode_by_name_in_steps(payload, position, number)
        return decode_by_place_in_steps(payload, position, number)
    except DAMAGED as error:
        raise CorruptEvent(f"the entry at {position or 'an unknown position'} is not readable: {error}") from error


def stream_version_of(payload: bytes) -> tuple[str, int]:
    """Stream and version of an envelope, whatever its type. Raises CorruptEvent."""
    try:
        start = _start_decoder.decode(payload)
        if isinstance(start.second, bytes):
            return unpack_stream_id(start.second), start.version
        return stream_version_by_place(payload)
    except DAMAGED as error:
        raise CorruptEvent(f"an entry of the log is not readable: {error}") from error
