"""Messages of gRPC in the form that HTTP answers with, so that the two can be compared, member by member."""

from datetime import UTC
from typing import Any, Final

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

FOUND_OF: Final = ("pages", "characters", "chunks", "chunks_embedded", "tokens")
"""Of a document's message; with `usage` they are the `counts` of HTTP."""


def as_http(message: Message) -> dict[str, Any]:
    """Every field of a Task or a Document under the name that HTTP has for it; what is empty is left out."""
    told = _told(message)
    told["status"] = told.pop("phase")
    if message.DESCRIPTOR.name == "Document":
        found = {name: told.pop(name) for name in FOUND_OF}
        told["counts"] = {**found, **(told.pop("usage") or {})}
    return without_empty(told)


def without_empty(told: dict[str, Any]) -> dict[str, Any]:
    """Without members that are null, or empty: proto3 has one word for both."""
    kept = {name: _without_empty(value) for name, value in told.items()}
    return {name: value for name, value in kept.items() if value not in (None, "", [], {})}


def _without_empty(value: Any) -> Any:
    match value:
        case dict():
            return without_empty(value)
        case list():
            return [_without_empty(one) for one in value]
        case _:
            return value


def _told(message: Message) -> dict[str, Any]:
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Message, field: Any) -> Any:  # a FieldDescriptor, of which protobuf has two classes
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_told(one) if isinstance(one, Message) else one for one in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    if field.enum_type is not None:
        return _word(field.enum_type, value)
    match value:
        case Timestamp():
            return msgspec.to_builtins(value.ToDatetime(UTC))
        case Struct():
            return MessageToDict(value)
        case Message():
            return _told(value)
        case _:
            return value


def _word(kind: EnumDescriptor, value: int) -> str:
    """The word of HTTP: TASK_PHASE_QUEUED is `queued`; a value that is not known, nothing."""
    name = kind.values_by_number[value].name
    first = kind.values_by_number[0].name
    return "" if value == 0 else name.removeprefix(first.removesuffix("UNSPECIFIED")).lower()
