"""Pure: what may stand at a place of a body, where a fixed set of words may."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import inspect


def choices_at(body: Any, steps: Sequence[str]) -> tuple[str, ...]:
    """The words that the type `body` allows at `steps` (names of members, indices); none where any text may stand."""
    found = [_inspected(body)]
    for step in steps:
        found = [within for one in found for within in _within(one, step)]
    return tuple(word for one in found for flat in _flat(one) for word in _words(flat))


@cache
def _inspected(body: Any) -> inspect.Type:
    return inspect.type_info(body)


def _within(place: inspect.Type, step: str) -> Iterator[inspect.Type]:
    for one in _flat(place):
        match one:
            case inspect.StructType(fields=fields):
                yield from (field.type for field in fields if field.encode_name == step)
            case inspect.CollectionType(item_type=item):
                yield item
            case _:
                pass


def _flat(place: inspect.Type) -> Iterator[inspect.Type]:
    match place:
        case inspect.UnionType(types=types):
            for one in types:
                yield from _flat(one)
        case inspect.Metadata(type=inner):
            yield from _flat(inner)
        case _:
            yield place


def _words(place: inspect.Type) -> Iterator[str]:
    match place:
        case inspect.EnumType(cls=kind):
            yield from (str(one.value) for one in kind)
        case inspect.LiteralType(values=values):
            yield from (str(value) for value in values)
        case _:
            pass
