"""Filters as Qdrant's conditions, and what a point must hold for them. Pure.

What a point holds (all made by `filter_payload`):
  values    list of strings, JSON: `["field"]` for each field that the row has, `["field", value]`: presence, equality
  ordered   list of objects for ranges, one a field: `number` of a finite number, `head` and `next` of a string

A field is `document_id`, `filename`, `page` or `metadata.KEY`; names of keys are values here, so a few indices serve
any of them. Qdrant has no ranges of strings: a string is compared by its first twelve bytes of UTF-8, as two numbers of
six (a float holds 53 bits), whose order is that of the code points. Where all twelve are equal only the row itself
tells, so `wide_condition` lets such rows through, and who searches looks at them again (`has_text_range`,
`filters.matches`).
"""

from typing import Any, Final, assert_never

from qdrant_client import models

from knowledge.filter_sql import key_term, pair_term
from knowledge.filters import Column, Compare, Every, Filter, Metadata, Not, Operator, Scalar, Some, number_of

VALUES: Final = "values"
ORDERED: Final = "ordered"
_BYTES: Final = 6

_NOTHING: Final = models.FieldCondition(key=VALUES, match=models.MatchValue(value=""))
"""No value is the empty string: each is a JSON array."""
_EVERYTHING: Final = models.Filter(must_not=[_NOTHING])

_BOUNDS: Final = {Operator.GT: "gt", Operator.GTE: "gte", Operator.LT: "lt", Operator.LTE: "lte"}


def filter_payload(document_id: str, filename: str, page: int | None, metadata: Metadata) -> dict[str, Any]:
    """What the point of a row holds so that it can be filtered."""
    fields: dict[str, Scalar] = {Column.DOCUMENT_ID.value: document_id, Column.FILENAME.value: filename}
    if page is not None:
        fields[Column.PAGE.value] = page
    fields |= {f"{Column.METADATA.value}.{key}": value for key, value in metadata.items()}
    return {
        VALUES: [term for field, value in fields.items() for term in (key_term(field), pair_term(field, value))],
        ORDERED: [{"field": field, **order} for field, value in fields.items() if (order := _order_of(value))],
    }


def has_text_range(filters: Filter) -> bool:
    """Whether a row that passes on the server may fail here."""
    match filters:
        case Every(parts=parts) | Some(parts=parts):
            return any(has_text_range(part) for part in parts)
        case Not(part=part):
            return has_text_range(part)
        case Compare(operator=operator, values=values):
            return operator in _BOUNDS and isinstance(values[0], str)
        case _:
            assert_never(filters)


def wide_condition(filters: Filter) -> models.Condition:
    """True for every row that `filters.matches` is true for; without a range of strings for no other."""
    return _render(filters, is_wide=True)


def _render(filters: Filter, *, is_wide: bool) -> models.Condition:
    match filters:
        case Every(parts=parts):
            return models.Filter(must=[_render(part, is_wide=is_wide) for part in parts]) if parts else _EVERYTHING
        case Some(parts=parts):
            return models.Filter(should=[_render(part, is_wide=is_wide) for part in parts]) if parts else _NOTHING
        case Not(part=part):
            return models.Filter(must_not=[_render(part, is_wide=not is_wide)])
        case Compare(operator=Operator.EXISTS):
            return models.FieldCondition(key=VALUES, match=models.MatchValue(value=key_term(_field_of(filters))))
        case Compare(operator=Operator.EQ | Operator.IN):
            terms = [pair_term(_field_of(filters), value) for value in filters.values]
            return models.FieldCondition(key=VALUES, match=models.MatchAny(any=terms))
        case Compare():
            return _range(filters, is_wide=is_wide)
        case _:
            assert_never(filters)


def _range(compare: Compare, *, is_wide: bool) -> models.Condition:
    bound = compare.values[0]
    if isinstance(bound, str):
        within = _text_range(compare.operator, bound, is_wide=is_wide)
    else:
        within = _number("number", _BOUNDS[compare.operator], float(bound))
    field = models.FieldCondition(key="field", match=models.MatchValue(value=_field_of(compare)))
    return models.NestedCondition(nested=models.Nested(key=ORDERED, filter=models.Filter(must=[field, within])))


def _text_range(operator: Operator, bound: str, *, is_wide: bool) -> models.Condition:
    """By the first bytes, then by the next; where both are equal, as is wanted."""
    order = _order_of(bound)
    beyond = "gt" if operator in (Operator.GT, Operator.GTE) else "lt"
    is_equal = models.Range(gte=order["head"], lte=order["head"])
    tail = _number("next", f"{beyond}e" if is_wide else beyond, order["next"])
    return models.Filter(
        should=[
            _number("head", beyond, order["head"]),
            models.Filter(must=[models.FieldCondition(key="head", range=is_equal), tail]),
        ]
    )


def _number(key: str, bound: str, value: float) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(**{bound: value}))


def _order_of(value: Scalar) -> dict[str, float]:
    """What ranges compare; nothing for what has no order (booleans, integers beyond a float)."""
    if isinstance(value, str):
        first = value.encode()[: 2 * _BYTES].ljust(2 * _BYTES, b"\0")
        return {"head": float(int.from_bytes(first[:_BYTES])), "next": float(int.from_bytes(first[_BYTES:]))}
    number = number_of(value)
    return {} if number is None else {"number": number}


def _field_of(compare: Compare) -> str:
    if compare.column is Column.METADATA:
        return f"{compare.column.value}.{compare.key}"
    return compare.column.value
