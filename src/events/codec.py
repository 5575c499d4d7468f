"""Envelope <-> bytes.

On the wire an envelope is one MessagePack array, read in two steps: the frame first (facts left raw), then the facts by
their type. So an unknown type, a newer version and a corrupt payload end differently: the first two as `UnknownEvent`,
which keeps its place in the stream, the last as `CorruptEvent`. Nearly every envelope is of a known type, at the place
where types mostly begin: such a one is read in one step, and whatever is unusual in two.

Ids travel as bytes (18 a stream, 16 an event): as text they were more than half of a typical event.
The event id comes first, at a fixed offset: `append.lua` recognises a repeated call by it.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from events.document import DocumentEvent
from events.envelope import Envelope, Event, Fact, Position, UnknownEvent, UnknownReason
from events.errors import CorruptEvent, InvalidId
from events.ids import STREAM_IDS, EventId, pack_stream_id, unpack_stream_id
from events.knowledge_base import KnowledgeBaseEvent
from events.task import TaskEvent
from events.upcasters import current_version, reads_as_today, upcast
from events.wording import written_version

EVENT_TYPES: Final[dict[str, type[Fact]]] = {
    fact.__name__: fact for union in (DocumentEvent, TaskEvent, KnowledgeBaseEvent) for fact in get_args(union)
}


PackedEventId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


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


class _FrameStart(msgspec.Struct, frozen=True, array_like=True):
    """What says whose event it is; the rest stays unread."""

    event_id: bytes
    stream_id: bytes
    version: int


_encoder = msgspec.msgpack.Encoder()
_start_decoder = msgspec.msgpack.Decoder(_FrameStart)
_frame_decoder = msgspec.msgpack.Decoder(_Frame)
_readers: Final[dict[tuple[str, int], Callable[[bytes], Any]]] = {
    (name, version): msgspec.msgpack.Decoder(fact).decode
    for name, fact in EVENT_TYPES.items()
    for version in range(1, current_version(name) + 1)
    if reads_as_today(name, version)
}
"""By type and schema version, each that is today's form as it stands."""

_unpack_event_id: Final[Callable[[bytes], EventId]] = bytes.hex  # type: ignore[assignment]  # NewType costs a call

_TYPE_AT: Final = 1 + 2 + 16 + 2 + 18 + 1
"""Where the type begins behind a version below 128: the array's head, two ids with theirs, one byte."""

_NAME_BYTES: Final = 0x1F
"""Of the byte before a name of up to 31 bytes: how many."""


_DAMAGED: Final = (msgspec.DecodeError, InvalidId, RecursionError, UnicodeDecodeError)
"""What bytes that are no envelope raise."""


def _read_at_once(name: str, version: int) -> Callable[[bytes], Any]:
    """A whole envelope of that type and schema version, as a tuple of exactly the fields of `_Frame`: a struct for each
    type would have its fields looked for anew with each event."""
    fields = (PackedEventId, bytes, int, Literal[name], Literal[version], int, bytes, PackedEventId | None)
    shape: Any = tuple.__class_getitem__((*fields, str | None, str | None, EVENT_TYPES[name]))
    return msgspec.msgpack.Decoder(shape).decode


_readers_at_once: Final[dict[bytes, Callable[[bytes], Any]]] = {
    _encoder.encode(name) + _encoder.encode(version): _read_at_once(name, version) for name, version in _readers
}
"""By the bytes of type and schema version."""


def encode(envelope: Envelope) -> bytes:
    """The wire form; position and number are the log's and stay outside."""
    if isinstance(envelope.event, UnknownEvent):
        raise TypeError("an event that this program cannot read cannot be written by it")
    return _encoder.encode(
        _Frame(
            event_id=bytes.fromhex(envelope.event_id),
            stream_id=pack_stream_id(envelope.stream_id),
            version=envelope.version,
            type=envelope.type,
            schema_version=written_version(envelope.event),
            recorded_at_us=envelope.recorded_at_us,
            correlation_id=pack_stream_id(envelope.correlation_id),
            causation_id=bytes.fromhex(envelope.causation_id) if envelope.causation_id else None,
            actor=envelope.actor,
            trace_parent=envelope.trace_parent,
            facts=msgspec.Raw(_encoder.encode(envelope.event)),
        )
    )


def decode(payload: bytes, *, position: Position | None = None, number: int | None = None) -> Envelope:
    """Raises CorruptEvent; a type or version from the future comes back as `UnknownEvent`."""
    try:
        read = _readers_at_once[payload[_TYPE_AT : _TYPE_AT + 2 + (payload[_TYPE_AT] & _NAME_BYTES)]]
        event_id, stream_id, version, _, _, at_us, correlation_id, causation_id, actor, trace_parent, fact = read(
            payload
        )
        return Envelope(
            _unpack_event_id(event_id),
            STREAM_IDS[stream_id],
            version,
            fact,
            at_us,
            STREAM_IDS[correlation_id],
            _unpack_event_id(causation_id) if causation_id else None,
            actor,
            trace_parent,
            position,
            number,
        )
    except (KeyError, IndexError, *_DAMAGED):
        pass
    return _decode_in_steps(payload, position, number)


def _decode_in_steps(payload: bytes, position: Position | None, number: int | None) -> Envelope:
    try:
        frame = _frame_decoder.decode(payload)
        read = _readers.get((frame.type, frame.schema_version))
        return Envelope(
            event_id=_unpack_event_id(frame.event_id),
            stream_id=unpack_stream_id(frame.stream_id),
            version=frame.version,
            event=_decode_otherwise(frame) if read is None else read(frame.facts),
            recorded_at_us=frame.recorded_at_us,
            correlation_id=unpack_stream_id(frame.correlation_id),
            causation_id=_unpack_event_id(frame.causation_id) if frame.causation_id else None,
            actor=frame.actor,
            trace_parent=frame.trace_parent,
            position=position,
            number=number,
        )
    except _DAMAGED as error:
        raise CorruptEvent(f"the entry at {position or 'an unknown position'} is not readable: {error}") from error


def stream_version_of(payload: bytes) -> tuple[str, int]:
    """Stream and version of an envelope, whatever its type. Raises CorruptEvent."""
    try:
        start = _start_decoder.decode(payload)
        return unpack_stream_id(start.stream_id), start.version
    except (msgspec.DecodeError, InvalidId) as error:
        raise CorruptEvent(f"an entry of the log is not readable: {error}") from error


def _decode_otherwise(frame: _Frame) -> Event:
    """A type, or a version of it, that is not read as it stands."""
    if frame.type not in EVENT_TYPES:
        return UnknownEvent(frame.type, frame.schema_version, UnknownReason.UNKNOWN_TYPE)
    if frame.schema_version > current_version(frame.type):
        return UnknownEvent(frame.type, frame.schema_version, UnknownReason.NEWER_VERSION)
    return _decode_old(frame)


def _decode_old(frame: _Frame) -> Fact:
    if frame.schema_version < 1:
        raise CorruptEvent(f"{frame.type} has no version {frame.schema_version}")
    facts = msgspec.msgpack.decode(frame.facts)
    return msgspec.convert(upcast(frame.type, frame.schema_version, facts), EVENT_TYPES[frame.type])
