"""Metadata as columns that an index can filter by, and filters as SQL over them. Pure.

Data dictionary (all made by `metadata_columns`, none nullable):
  metadata          JSON of the whole mapping, for the answer
  metadata_terms    list of strings, JSON: `["key"]` for each key, `["key", value]` for each pair; presence, equality
  metadata_numbers  JSON object of the finite numbers, as floats: ranges
  metadata_strings  JSON object of the strings: ranges in code point order
"""

import json
from typing import assert_never

from knowledge.filters import (
    Column,
    Compare,
    Every,
    Filter,
    Metadata,
    Not,
    Operator,
    Scalar,
    Some,
    number_of,
    value_term,
)

_COMPARISONS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}


def metadata_columns(metadata: Metadata) -> dict[str, object]:
    """The four columns of one row's metadata."""
    numbers = {key: number for key, value in metadata.items() if (number := number_of(value)) is not None}
    strings = {key: value for key, value in metadata.items() if isinstance(value, str)}
    terms = [term for key, value in metadata.items() for term in (key_term(key), pair_term(key, value))]
    return {
        "metadata": json.dumps(dict(metadata)),
        "metadata_terms": terms,
        "metadata_numbers": json.dumps(numbers),
        "metadata_strings": json.dumps(strings, ensure_ascii=False),
    }


def render_sql(filters: Filter) -> str | None:
    """A predicate for LanceDB (DataFusion SQL), true exactly where `filters.matches` is; None for "everything".

    Values enter as quoted literals only: a quote is doubled, and the dialect knows no other escape.
    """
    if isinstance(filters, Every) and not filters.parts:
        return None
    return _render(filters)


def text_literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _render(filters: Filter) -> str:
    match filters:
        case Every(parts=parts):
            return _joined(parts, " AND ", "true")
        case Some(parts=parts):
            return _joined(parts, " OR ", "false")
        case Not(part=part):
            return f"(NOT {_render(part)})"
        case Compare(column=Column.METADATA):
            return _render_metadata(filters)
        case Compare():
            return _render_column(filters)
        case _:
            assert_never(filters)


def _joined(parts: tuple[Filter, ...], glue: str, empty: str) -> str:
    return f"({glue.join(_render(part) for part in parts)})" if parts else empty


def _render_metadata(compare: Compare) -> str:
    match compare.operator:
        case Operator.EXISTS:
            return f"array_has(metadata_terms, {text_literal(key_term(compare.key))})"
        case Operator.EQ | Operator.IN:
            terms = [text_literal(pair_term(compare.key, value)) for value in compare.values]
            if len(terms) == 1:
                return f"array_has(metadata_terms, {terms[0]})"
            return f"array_has_any(metadata_terms, [{', '.join(terms)}])"
        case _:
            bound = compare.values[0]
            if isinstance(bound, str):
                value, literal = f"json_get_string(metadata_strings, {text_literal(compare.key)})", text_literal(bound)
            else:
                value, literal = f"json_get_float(metadata_numbers, {text_literal(compare.key)})", _float(bound)
            # Null where the key is absent; a comparison is two-valued, or NOT would lose the row.
            return f"coalesce({value} {_COMPARISONS[compare.operator]} {literal}, false)"


def _render_column(compare: Compare) -> str:
    column = compare.column.value
    is_number = compare.column is Column.PAGE
    if compare.operator is Operator.EXISTS:
        return f"({column} IS NOT NULL)"
    # A value of another type than the column's equals nothing, and is no bound of it.
    usable = [value for value in compare.values if (number_of(value) is not None) == is_number]
    usable = [value for value in usable if is_number or isinstance(value, str)]
    if not usable:
        return "false"
    literals = [_float(value) if is_number else text_literal(str(value)) for value in usable]
    subject = f"CAST({column} AS DOUBLE)" if is_number else column
    if compare.operator in (Operator.EQ, Operator.IN):
        return f"coalesce({subject} IN ({', '.join(literals)}), false)"
    return f"coalesce({subject} {_COMPARISONS[compare.operator]} {literals[0]}, false)"


def key_term(key: str) -> str:
    """What stands in `metadata_terms` for the presence of a key."""
    return json.dumps([key])


def pair_term(key: str, value: Scalar) -> str:
    """What stands in `metadata_terms` for a key with its value."""
    return f"[{json.dumps(key)}, {value_term(value)}]"


def _float(value: Scalar) -> str:
    return f"CAST('{float(value)!r}' AS DOUBLE)"
