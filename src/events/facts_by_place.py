"""Facts as arrays: each field at its place, those at the end that are as by default left out.

What is long as text, or follows from whose fact it is, is packed (`PACKINGS`, by the name of the field):

* an id of a stream: 18 bytes; a task that is the event's own: nil
* a SHA-256 in hex digits: 32 bytes
* a blob of the document itself: the part behind `documents/<id>`, with its slash, which no key of a blob begins with

Text that has not that form stays text: whatever may be said in a fact comes back as it was.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import NODEFAULT

from events.document import DocumentAccepted
from events.envelope import Fact
from events.errors import InvalidId
from events.ids import STREAM_IDS, pack_stream_id

SHA256_BYTES: Final = 32
_values_of = msgspec.structs.astuple
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REQUIRED: Final = object()
_AS_IT_IS: Final = "\0"
"""Before the name of a blob that begins with a slash, or with this."""

Pack = Callable[[Any, str, str], Any]
"""Of a value, the stream's id and the correlation's."""

Finish = Callable[[Any, str, str], Fact]
"""What was read, and those ids, to the fact."""


class Packing(NamedTuple):
    """Both ways, and the type of what lies on the wire."""

    pack: Pack
    unpack: Pack
    kind: Any


def _pack_id(value: Any, _stream: str, _correlation: str) -> Any:
    try:
        return pack_stream_id(value)
    except InvalidId:
        return value


def _unpack_id(value: Any, _stream: str, _correlation: str) -> Any:
    return STREAM_IDS[value] if type(value) is bytes else _text(value)


def _pack_ids(values: Any, stream: str, correlation: str) -> Any:
    return [_pack_id(value, stream, correlation) for value in values]


def _unpack_ids(values: Any, stream: str, correlation: str) -> Any:
    return tuple([_unpack_id(value, stream, correlation) for value in values])


def _pack_task(value: Any, stream: str, correlation: str) -> Any:
    return None if value == correlation else _pack_id(value, stream, correlation)


def _unpack_task(value: Any, stream: str, correlation: str) -> Any:
    return correlation if value is None else _unpack_id(value, stream, correlation)


def _pack_digest(value: Any, _stream: str, _correlation: str) -> Any:
    return bytes.fromhex(value) if _SHA256.fullmatch(value) else value


def _unpack_digest(value: Any, _stream: str, _correlation: str) -> Any:
    return value.hex() if type(value) is bytes and len(value) == SHA256_BYTES else _text(value)


def _pack_blob(value: Any, stream: str, _correlation: str) -> Any:
    own = f"documents/{stream}/"
    if value.startswith(own):
        return value[len(own) - 1 :]
    return _AS_IT_IS + value if value[:1] in {"/", _AS_IT_IS} else value


def _unpack_blob(value: Any, stream: str, _correlation: str) -> Any:
    first = value[:1]
    if first == "/":
        return f"documents/{stream}{value}"
    return value[1:] if first == _AS_IT_IS else value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise InvalidId("neither text nor what it is packed into")
    return value


# One field may hold bytes or text, which msgspec has no type for: `Any`, and the unpacking looks.
_ID: Final = Packing(_pack_id, _unpack_id, Any)
_DIGEST: Final = Packing(_pack_digest, _unpack_digest, Any)
_BLOB: Final = Packing(_pack_blob, _unpack_blob, str)

PACKINGS: Final[Mapping[str, Packing]] = {
    "knowledge_base_id": _ID,
    "task_id": Packing(_pack_task, _unpack_task, Any),
    "replaces": _ID,
    "duplicate_of": _ID,
    "document_ids": Packing(_pack_ids, _unpack_ids, tuple[Any, ...]),
    "sha256": _DIGEST,
    "idempotency_key_sha256": _DIGEST,
    "request_sha256": _DIGEST,
    "source_blob": _BLOB,
    "text_blob": _BLOB,
    "chunks_blob": _BLOB,
    "vectors_blob": _BLOB,
}
"""Logs and archives outlive a release: a field that once had a packing keeps it, one that had none gets none."""


class Shape(msgspec.Struct, frozen=True):
    """How facts of one type lie in their array. `optional` are the defaults of the fields that have one. `wire` is what
    is read, and `finish` makes the fact of it; None: it is the fact."""

    fact: type[Fact]
    required: int
    optional: tuple[Any, ...]
    packs: tuple[tuple[int, Pack], ...]
    wire: type[msgspec.Struct]
    finish: Finish | None

    def values(self, fact: Fact, stream_id: str, correlation_id: str) -> Sequence[Any]:
        """What goes into the array."""
        values, count = _values_of(fact), self.required
        if values[count:] != self.optional:
            count = len(values)
            while values[count - 1] == self.optional[count - 1 - self.required]:
                count -= 1
        if not self.packs:
            return values[:count]
        packed = list(values[:count])
        for place, pack in self.packs:
            if place >= count:
                break
            if (value := packed[place]) is not None:
                packed[place] = pack(value, stream_id, correlation_id)
        return packed


def named(names: Sequence[str], values: Sequence[Any], stream_id: str, correlation_id: str) -> dict[str, Any]:
    """Facts of a form that is none of today's, unpacked, by their names. Raises InvalidId and ValidationError."""
    facts = dict(zip(names, values, strict=False))
    for name in facts.keys() & PACKINGS.keys():
        packing = PACKINGS[name]
        if facts[name] is not None or name == "task_id":
            facts[name] = packing.unpack(msgspec.convert(facts[name], packing.kind), stream_id, correlation_id)
    return facts


class _Shapes(dict[type[Fact], Shape]):
    def __missing__(self, fact: type[Fact]) -> Shape:
        shape = self[fact] = _shape_of(fact)
        return shape


SHAPES: Final = _Shapes()
"""By type of fact, made as they are asked for."""


def _shape_of(fact: type[Fact]) -> Shape:
    fields = msgspec.structs.fields(fact)
    packings = [(place, PACKINGS[field.name]) for place, field in enumerate(fields) if field.name in PACKINGS]
    wire: type[msgspec.Struct] = fact
    finish: Finish | None = None
    match packings:
        case []:
            pass
        case [(place, packing)] if packing is _BLOB:
            finish = _finish_of_blob(fact, fields[place].name, place)
        case _:
            wire, finish = _packed(fact, fields), _BY_HAND.get(fact) or _finish_of_several(fact, fields)
    return Shape(
        fact=fact,
        required=sum(field.required for field in fields),
        optional=tuple(_default(field) for field in fields if not field.required),
        packs=tuple((place, packing.pack) for place, packing in packings),
        wire=wire,
        finish=finish,
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _packed(fact: type[Fact], fields: Sequence[msgspec.structs.FieldInfo]) -> type[msgspec.Struct]:
    """The same fields with the types that they have on the wire."""
    kinds: list[Any] = []
    for field in fields:
        kind = PACKINGS[field.name].kind if field.name in PACKINGS else field.type
        default: Any = msgspec.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]
        kinds.append((field.name, kind) if field.required else (field.name, kind, default))
    return msgspec.defstruct(f"Packed{fact.__name__}", kinds, frozen=True, array_like=True, gc=False)


def _finish_of_blob(fact: Callable[..., Fact], name: str, place: int) -> Finish:
    """Half of a document's facts that are packed have this one: the text may be right as it is."""
    blob_of = attrgetter(name)

    def finish(read: Any, stream: str, correlation: str) -> Fact:
        blob = blob_of(read)
        if blob[:1] > "/":
            return cast("Fact", read)
        values = _values_of(read)
        return fact(*values[:place], _unpack_blob(blob, stream, correlation), *values[place + 1 :])

    return finish


def _finish_of_several(fact: Callable[..., Fact], fields: Sequence[msgspec.structs.FieldInfo]) -> Finish:
    ways = [
        (place, PACKINGS[field.name].unpack, _REQUIRED if field.required else field.default)
        for place, field in enumerate(fields)
        if field.name in PACKINGS
    ]

    def finish(read: Any, stream: str, correlation: str) -> Fact:
        values = list(_values_of(read))
        for place, way, default in ways:
            if (value := values[place]) is not default:  # None, or the one empty tuple
                values[place] = way(value, stream, correlation)
        return fact(*values)

    return finish


def _accepted(read: Any, stream: str, correlation: str) -> Fact:
    (
        base,
        task,
        name,
        media_type,
        size_bytes,
        sha256,
        blob,
        declared,
        metadata,
        lane,
        not_before_us,
        replaces,
        *later,
    ) = _values_of(read)
    return _make_accepted(
        STREAM_IDS[base] if type(base) is bytes else _text(base),
        correlation if task is None else _unpack_id(task, stream, correlation),
        name,
        media_type,
        size_bytes,
        _unpack_digest(sha256, stream, correlation),
        _unpack_blob(blob, stream, correlation),
        declared,
        metadata,
        lane,
        not_before_us,
        None if replaces is None else _unpack_id(replaces, stream, correlation),
        *later,
    )


_make_accepted: Final[Callable[..., Fact]] = DocumentAccepted
_BY_HAND: Final[Mapping[type[Fact], Finish]] = {DocumentAccepted: _accepted}
"""A tenth of a log are acceptances, and most of what there is to unpack is in them: one is read in 1.4 µs, not 1.9."""
