"""Agno's filters -> ours (filters.py). Pure; Agno itself isn't needed, its expressions tell what they are."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from knowledge.filters import Column, Operator

DEPTH_MAX: Final = 10
"""As deep as Agno itself reads them."""

_COMPARISONS: Final = {
    "EQ": Operator.EQ,
    "NEQ": Operator.NE,
    "GT": Operator.GT,
    "GTE": Operator.GTE,
    "LT": Operator.LT,
    "LTE": Operator.LTE,
}
_JOINED: Final = {"and", "or", "not"}
_OWN: Final = {column.value for column in Column if column is not Column.METADATA}


def filters_from_agno(filters: Mapping[str, Any] | Sequence[Any] | None) -> dict[str, Any] | None:
    """What a search takes for `filters`. Raises ValueError for what no search here can be asked.

    A mapping is Agno's plain form (every member must equal; a list means one of it) or ours; expressions in a list must
    all hold. A name that is no column of ours is a key of the document's metadata.
    """
    if not filters:
        return None
    if isinstance(filters, Mapping):
        return _of_mapping(filters)
    parts = [_of_expression(_told(one), DEPTH_MAX) for one in filters]
    return parts[0] if len(parts) == 1 else {"and": parts}


def _of_mapping(filters: Mapping[str, Any]) -> dict[str, Any]:
    joined = {name: value for name, value in filters.items() if name in _JOINED}
    fields = {_field(name): _one_of(value) for name, value in filters.items() if name not in _JOINED}
    return {**fields, **joined}


def _one_of(value: Any) -> Any:
    return {Operator.IN.value: value} if isinstance(value, list) else value


def _told(expression: Any) -> Mapping[str, Any]:
    told = expression if isinstance(expression, Mapping) else getattr(expression, "to_dict", dict)()
    if "op" not in told:
        raise ValueError(f"{expression!r} is no filter of Agno; give EQ, IN, AND and so on of agno.filters")
    return told


def _of_expression(told: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth == 0:
        raise ValueError(f"filters may be nested {DEPTH_MAX} deep")
    match told:
        case {"op": "AND" | "OR" as joined, "conditions": list(conditions)}:
            return {joined.lower(): [_of_expression(one, depth - 1) for one in conditions]}
        case {"op": "NOT", "condition": condition}:
            return {"not": _of_expression(condition, depth - 1)}
        case {"op": "IN", "key": str(key), "values": values}:
            return {_field(key): {Operator.IN.value: list(values)}}
        case {"op": str(name), "key": str(key), "value": value} if name in _COMPARISONS:
            return {_field(key): {_COMPARISONS[name].value: value}}
        case _:
            known = ", ".join([*_COMPARISONS, "IN", "AND", "OR", "NOT"])
            raise ValueError(f"the filter {told.get('op')!r} cannot be asked of Millstream; it knows {known}")


def _field(name: str) -> str:
    return name if name in _OWN or name.startswith(f"{Column.METADATA.value}.") else f"{Column.METADATA.value}.{name}"
