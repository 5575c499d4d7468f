"""Agno's filters find what Agno says that they find."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.agno_filters import DEPTH_MAX, filters_from_agno
from knowledge.filters import FilterRow, matches, parse_filters

KEYS = st.sampled_from(["year", "lang", "draft"])
VALUES = st.integers(2_019, 2_024) | st.sampled_from(["en", "zh"])
METADATA = st.fixed_dictionaries({"year": st.integers(2_018, 2_025), "lang": st.sampled_from(["en", "zh", "de"])})

COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda held, asked: held == asked,
    "NEQ": lambda held, asked: held != asked,
    "GT": lambda held, asked: type(held) is type(asked) and held > asked,
    "GTE": lambda held, asked: type(held) is type(asked) and held >= asked,
    "LT": lambda held, asked: type(held) is type(asked) and held < asked,
    "LTE": lambda held, asked: type(held) is type(asked) and held <= asked,
}

PLAIN = st.builds(
    lambda op, key, value: {"op": op, "key": key, "value": value}, st.sampled_from([*COMPARED]), KEYS, VALUES
)
ONE_OF = st.builds(lambda key, values: {"op": "IN", "key": key, "values": values}, KEYS, st.lists(VALUES, min_size=1))
EXPRESSIONS = st.recursive(
    PLAIN | ONE_OF,
    lambda inner: (
        st.builds(
            lambda op, parts: {"op": op, "conditions": parts},
            st.sampled_from(["AND", "OR"]),
            st.lists(inner, min_size=1, max_size=3),
        )
        | st.builds(lambda part: {"op": "NOT", "condition": part}, inner)
    ),
    max_leaves=6,
)


def holds(told: dict[str, Any], held: dict[str, Any]) -> bool:
    """What the page of Agno's filters says of each, over metadata in memory."""
    match told:
        case {"op": "AND"}:
            return all(holds(one, held) for one in told["conditions"])
        case {"op": "OR"}:
            return any(holds(one, held) for one in told["conditions"])
        case {"op": "NOT"}:
            return not holds(told["condition"], held)
        case {"op": "IN"}:
            return held.get(told["key"]) in told["values"]
        case _:
            return COMPARED[told["op"]](held.get(told["key"]), told["value"])


def passes(filters: Any, held: dict[str, Any]) -> bool:
    return matches(parse_filters(filters_from_agno(filters)), FilterRow("doc_1", "a.pdf", 3, held))


@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), METADATA)
def test_expressions_find_what_agno_says(expressions: list[dict[str, Any]], held: dict[str, Any]) -> None:
    assert passes(expressions, held) == all(holds(one, held) for one in expressions)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"lang": "zh"}, {"metadata.lang": "zh"}),
        ({"lang": ["zh", "en"], "filename": "a.pdf"}, {"metadata.lang": {"in": ["zh", "en"]}, "filename": "a.pdf"}),
        ({"metadata.year": {"gte": 2020}}, {"metadata.year": {"gte": 2020}}),
        ({"or": [{"page": 1}, {"page": 2}]}, {"or": [{"page": 1}, {"page": 2}]}),
        (None, None),
        ({}, None),
        ([], None),
    ],
)
def test_a_mapping_is_metadata_or_what_a_search_takes(filters: Any, expected: Any) -> None:
    assert filters_from_agno(filters) == expected


def test_expressions_may_be_objects_that_tell_what_they_are() -> None:
    class Told:
        def to_dict(self) -> dict[str, Any]:
            return {"op": "EQ", "key": "lang", "value": "zh"}

    assert filters_from_agno([Told()]) == {"metadata.lang": {"eq": "zh"}}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ({"op": "CONTAINS", "key": "lang", "value": "z"}, "'CONTAINS' cannot be asked"),
        ({"op": "EQ", "value": 1}, "'EQ' cannot be asked"),
        ("lang", "no filter of Agno"),
    ],
)
def test_what_no_search_can_be_asked_is_refused_by_name(expression: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        filters_from_agno([expression])


def test_a_bottomless_filter_is_refused() -> None:
    nested: dict[str, Any] = {"op": "EQ", "key": "lang", "value": "zh"}
    for _ in range(DEPTH_MAX):
        nested = {"op": "NOT", "condition": nested}
    with pytest.raises(ValueError, match="nested 10 deep"):
        filters_from_agno([nested])
