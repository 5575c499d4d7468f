"""JSON Schemas of structs, made by msgspec, with what it leaves out: how times look, which members always come."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_origin

import msgspec
from msgspec import inspect as types

from millstream.openapi.operation import Schema
from millstream.openapi.refinements import COMPONENTS, REFINEMENTS, WHOLE

REFERENCE: Final = "#/components/schemas/{name}"


class Components(msgspec.Struct, frozen=True):
    """Schemas by name, and the references to those of the types that were asked for, in their order."""

    schemas: dict[str, dict[str, Any]]
    sent: tuple[dict[str, Any], ...]
    answered: tuple[dict[str, Any], ...]


def components_of(sent: Sequence[Any], answered: Sequence[Any]) -> Components:
    """For the types of bodies that are sent, and of those that are answered.

    What is answered has all its members, those with defaults too, except where the struct leaves those out.
    """
    structs = _structs([*sent, *answered])
    asked = [*sent, *answered, *(one.cls for one in structs)]
    references, schemas = msgspec.json.schema_components(asked, ref_template=REFERENCE)
    decoded = {one.cls for one in _structs(sent)}
    for struct, reference in zip(structs, references[len(sent) + len(answered) :], strict=True):
        _complete(schemas[_name_in(reference)], struct, is_answered=struct.cls not in decoded)
    for schema in schemas.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    split = len(sent)
    return Components({**schemas, **COMPONENTS}, references[:split], references[split : split + len(answered)])


def _name_in(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _complete(schema: dict[str, Any], struct: types.StructType, *, is_answered: bool) -> None:
    plain = get_origin(struct.cls) or struct.cls
    if is_answered and not plain.__struct_config__.omit_defaults:
        schema["required"] = [field.encode_name for field in struct.fields if not _may_be_unset(field)]
    for field in struct.fields:
        if any(isinstance(one, types.DateTimeType) for one in (field.type, *_parts(field.type))):
            _mark_instant(schema["properties"][field.encode_name])
    for base in plain.__mro__:
        for name, keywords in REFINEMENTS.get(base, {}).items():
            _refine(schema if name == WHOLE else schema["properties"][name], keywords)


def _may_be_unset(field: types.Field) -> bool:
    """Optional without a default that msgspec could name: UNSET, which is left out."""
    return not field.required and field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT


def _refine(schema: dict[str, Any], keywords: Schema) -> None:
    """Of a member that may be null, what is said goes for what is not."""
    refined = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    refined.update(keywords)


def _mark_instant(schema: dict[str, Any]) -> None:
    for one in schema.get("anyOf", [schema]):
        if one.get("type") == "string":
            one["format"] = "date-time"


def _structs(roots: Iterable[Any]) -> list[types.StructType]:
    """Every struct that is reached from these types, each once."""
    found: dict[Any, types.StructType] = {}
    waiting = list(types.multi_type_info(list(roots)))
    while waiting:
        one = waiting.pop()
        if isinstance(one, types.StructType):
            if one.cls in found:
                continue
            found[one.cls] = one
        waiting.extend(_parts(one))
    return list(found.values())


def _parts(kind: types.Type) -> Iterator[types.Type]:
    """What a type is made of: items, keys and values, alternatives, fields."""
    for name in kind.__struct_fields__:
        value = getattr(kind, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, types.Field):
                yield one.type
            elif isinstance(one, types.Type):
                yield one
