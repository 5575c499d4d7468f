"""Metadata filters: parsed from JSON, evaluated in memory, rendered for the index. Pure.

A filter is an object. Its members are fields (`document_id`, `filename`, `page`, `metadata.KEY`) with a value or an
object of comparisons, and `and`, `or` (lists of filters) and `not` (a filter); members together mean "all of them":

    {"metadata.language": "zh", "page": {"gte": 2}, "not": {"metadata.year": {"in": [2019, 2020]}}}

Every comparison is true or false, never unknown: a row without the key, or with a value of another type, compares
false (so `ne` and `not` find it). Numbers compare as numbers (1 equals 1.0), booleans are no numbers.
"""

import json
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import assert_never

import msgspec

from knowledge.errors import InvalidSearch

DEPTH_MAX = 8
COMPARISONS_MAX = 100
VALUES_MAX = 1_000
KEY_CHARS_MAX = 200
VALUE_CHARS_MAX = 2_000

_METADATA_PREFIX = "metadata."

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar]


class Operator(StrEnum):
    """What a field is asked. `in` takes a list, `exists` a boolean, ranges a number or a string."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NIN = "nin"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"


class Column(StrEnum):
    """What can be filtered by; `metadata` goes with a key."""

    DOCUMENT_ID = "document_id"
    FILENAME = "filename"
    PAGE = "page"
    METADATA = "metadata"


class Compare(msgspec.Struct, frozen=True, tag=True):
    """One comparison; `values` holds one value, or those of a list. `ne` and `nin` are `Not` around these."""

    column: Column
    key: str
    operator: Operator
    values: tuple[Scalar, ...]


class Every(msgspec.Struct, frozen=True, tag=True):
    """True where all parts are; true without parts."""

    parts: tuple["Filter", ...]


class Some(msgspec.Struct, frozen=True, tag=True):
    """True where any part is; false without parts."""

    parts: tuple["Filter", ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """True where the part is not."""

    part: "Filter"


Filter = Compare | Every | Some | Not
EVERYTHING = Every(parts=())


class FilterRow(msgspec.Struct, frozen=True):
    """What a filter looks at of one row."""

    document_id: str
    filename: str
    page: int | None
    metadata: Metadata


def parse_filters(value: object, pointer: str = "/filters") -> Filter:
    """The filter that decoded JSON describes; None means everything. Raises InvalidSearch with the place at fault."""
    if value is None:
        return EVERYTHING
    budget = [COMPARISONS_MAX]
    return _parse(value, pointer, DEPTH_MAX, budget)


def of_documents(document_ids: tuple[str, ...]) -> Filter:
    """Only rows of these documents."""
    return Compare(column=Column.DOCUMENT_ID, key="", operator=Operator.IN, values=document_ids)


def _parse(value: object, pointer: str, depth: int, budget: list[int]) -> Filter:
    if not isinstance(value, dict):
        raise InvalidSearch("a filter must be an object", pointer)
    if depth == 0:
        raise InvalidSearch(f"filters may be nested {DEPTH_MAX} deep", pointer)
    parts: list[Filter] = []
    for name, member in value.items():
        place = f"{pointer}/{_escaped(str(name))}"
        match name:
            case "and":
                parts.append(Every(parts=_parse_list(member, place, depth, budget)))
            case "or":
                parts.append(Some(parts=_parse_list(member, place, depth, budget)))
            case "not":
                parts.append(Not(part=_parse(member, place, depth - 1, budget)))
            case _:
                parts.extend(_parse_field(str(name), member, place, budget))
    return parts[0] if len(parts) == 1 else Every(parts=tuple(parts))


def _parse_list(value: object, pointer: str, depth: int, budget: list[int]) -> tuple[Filter, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidSearch("must be a list of at least one filter", pointer)
    return tuple(_parse(item, f"{pointer}/{place}", depth - 1, budget) for place, item in enumerate(value))


def _parse_field(name: str, value: object, pointer: str, budget: list[int]) -> list[Filter]:
    column, key = _column_of(name, pointer)
    comparisons = value if isinstance(value, dict) else {Operator.EQ.value: value}
    if not comparisons:
        raise InvalidSearch("must hold at least one comparison", pointer)
    budget[0] -= len(comparisons)
    if budget[0] < 0:
        raise InvalidSearch(f"a filter may hold {COMPARISONS_MAX} comparisons", pointer)
    return [
        _parse_comparison(column, key, str(operator), operand, f"{pointer}/{_escaped(str(operator))}")
        for operator, operand in comparisons.items()
    ]


def _column_of(name: str, pointer: str) -> tuple[Column, str]:
    if name.startswith(_METADATA_PREFIX):
        key = name.removeprefix(_METADATA_PREFIX)
        if not 0 < len(key) <= KEY_CHARS_MAX:
            raise InvalidSearch(f"a metadata key has 1 to {KEY_CHARS_MAX} characters", pointer)
        return Column.METADATA, _encodable(key, pointer)
    if name in (Column.DOCUMENT_ID, Column.FILENAME, Column.PAGE):
        return Column(name), ""
    raise InvalidSearch("unknown field: use document_id, filename, page or metadata.KEY", pointer)


def _parse_comparison(column: Column, key: str, name: str, operand: object, pointer: str) -> Filter:
    try:
        operator = Operator(name)
    except ValueError:
        raise InvalidSearch(f"unknown comparison: use {', '.join(Operator)}", pointer) from None
    match operator:
        case Operator.EQ:
            return Compare(column, key, Operator.EQ, (_scalar(operand, pointer),))
        case Operator.NE:
            return Not(Compare(column, key, Operator.EQ, (_scalar(operand, pointer),)))
        case Operator.IN:
            return Compare(column, key, Operator.IN, _scalars(operand, pointer))
        case Operator.NIN:
            return Not(Compare(column, key, Operator.IN, _scalars(operand, pointer)))
        case Operator.GT | Operator.GTE | Operator.LT | Operator.LTE:
            bound = _scalar(operand, pointer)
            if isinstance(bound, bool):
                raise InvalidSearch("a range needs a number or a string", pointer)
            return Compare(column, key, operator, (bound,))
        case Operator.EXISTS:
            if not isinstance(operand, bool):
                raise InvalidSearch("must be true or false", pointer)
            exists = Compare(column, key, Operator.EXISTS, ())
            return exists if operand else Not(exists)
        case _:
            assert_never(operator)


def _scalars(value: object, pointer: str) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= VALUES_MAX:
        raise InvalidSearch(f"must be a list of 1 to {VALUES_MAX:,} values", pointer)
    return tuple(_scalar(item, f"{pointer}/{place}") for place, item in enumerate(value))


def _scalar(value: object, pointer: str) -> Scalar:
    match value:
        case bool():
            return value
        case str() if len(value) <= VALUE_CHARS_MAX:
            return _encodable(value, pointer)
        case str():
            raise InvalidSearch(f"a value has at most {VALUE_CHARS_MAX:,} characters", pointer)
        case int() | float() if number_of(value) is not None:
            return value
        case _:
            raise InvalidSearch("must be a string, a finite number or a boolean", pointer)


def _encodable(text: str, pointer: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidSearch("holds half of a surrogate pair", pointer) from None
    return text


def _escaped(name: str) -> str:
    """RFC 6901: a member name inside a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def number_of(value: object) -> float | None:
    """The number that a range compares; None for what is no finite number (booleans are none)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def matches(filters: Filter, row: FilterRow) -> bool:
    """Whether the row passes: the reference that every index agrees with."""
    match filters:
        case Every(parts=parts):
            return all(matches(part, row) for part in parts)
        case Some(parts=parts):
            return any(matches(part, row) for part in parts)
        case Not(part=part):
            return not matches(part, row)
        case Compare():
            return _compare(filters, _value_of(filters, row))
        case _:
            assert_never(filters)


def _value_of(compare: Compare, row: FilterRow) -> Scalar | None:
    match compare.column:
        case Column.DOCUMENT_ID:
            return row.document_id
        case Column.FILENAME:
            return row.filename
        case Column.PAGE:
            return row.page
        case Column.METADATA:
            return row.metadata.get(compare.key)
        case _:
            assert_never(compare.column)


def _compare(compare: Compare, value: Scalar | None) -> bool:
    if value is None:
        return False
    match compare.operator:
        case Operator.EXISTS:
            return True
        case Operator.EQ | Operator.IN:
            return value_term(value) in {value_term(operand) for operand in compare.values}
        case _:
            return _is_in_range(compare.operator, value, compare.values[0])


def value_term(value: Scalar) -> str:
    """One spelling for each value, type included: 1 and 1.0 are equal, 1 and true and "1" are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


_ORDERS: Mapping[Operator, Callable[[object, object], bool]] = {
    Operator.GT: lambda left, right: left > right,  # type: ignore[operator]  # both str or both float, see below
    Operator.GTE: lambda left, right: left >= right,  # type: ignore[operator]
    Operator.LT: lambda left, right: left < right,  # type: ignore[operator]
    Operator.LTE: lambda left, right: left <= right,  # type: ignore[operator]
}


def _is_in_range(operator: Operator, value: Scalar, bound: Scalar) -> bool:
    order = _ORDERS[operator]
    if isinstance(bound, str):
        return isinstance(value, str) and order(value, bound)
    number = number_of(value)
    return number is not None and order(number, float(bound))
