from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import InvalidSearch
from knowledge.filter_sql import metadata_columns, render_sql, text_literal
from knowledge.filters import EVERYTHING, FilterRow, matches, of_documents, parse_filters
from tests.contract.filter_strategies import DOCUMENT_IDS, FILTERS, METADATA, PAGES

ROW = FilterRow("doc_1", "a.pdf", 3, {"lang": "zh", "year": 2024, "share": 0.5, "draft": False})
ROWS = st.builds(FilterRow, DOCUMENT_IDS, DOCUMENT_IDS.map(lambda name: f"{name}.txt"), PAGES, METADATA)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"metadata.lang": "zh"},
        {"metadata.lang": {"in": ["en", "zh"]}, "metadata.year": {"gte": 2024, "lt": 2025}},
        {"metadata.year": 2024.0},
        {"metadata.draft": False},
        {"metadata.missing": {"ne": "x"}},
        {"metadata.missing": {"exists": False}},
        {"metadata.lang": {"gt": "en", "nin": ["en"]}},
        {"or": [{"page": 1}, {"page": {"lte": 3}}]},
        {"and": [{"document_id": "doc_1"}, {"filename": {"eq": "a.pdf"}}]},
        {"not": {"metadata.year": {"gt": 2024}}},
    ],
)
def test_filters_that_the_row_passes(filters: dict[str, Any]) -> None:
    assert matches(parse_filters(filters), ROW)


@pytest.mark.parametrize(
    "filters",
    [
        {"metadata.lang": "ZH"},
        {"metadata.year": "2024"},
        {"metadata.year": {"gt": "2"}},
        {"metadata.draft": 0},
        {"metadata.draft": {"gte": 0}},
        {"metadata.missing": {"lt": 5}},
        {"metadata.missing": {"exists": True}},
        {"page": {"gt": 3}},
        {"page": "3"},
        {"or": [{"page": 1}, {"page": 2}]},
        {"document_id": "doc_1", "not": {"page": 3}},
    ],
)
def test_filters_that_the_row_fails(filters: dict[str, Any]) -> None:
    assert not matches(parse_filters(filters), ROW)


@pytest.mark.parametrize(
    ("filters", "pointer"),
    [
        ([], "/filters"),
        ("x", "/filters"),
        ({"lang": "zh"}, "/filters/lang"),
        ({"metadata.": 1}, "/filters/metadata."),
        ({"metadata.a/b": {}}, "/filters/metadata.a~1b"),
        ({"metadata.a": {"like": "x"}}, "/filters/metadata.a/like"),
        ({"metadata.a": None}, "/filters/metadata.a/eq"),
        ({"metadata.a": {"in": []}}, "/filters/metadata.a/in"),
        ({"metadata.a": {"in": "abc"}}, "/filters/metadata.a/in"),
        ({"metadata.a": {"in": [1, [2]]}}, "/filters/metadata.a/in/1"),
        ({"metadata.a": {"gt": True}}, "/filters/metadata.a/gt"),
        ({"metadata.a": {"exists": 1}}, "/filters/metadata.a/exists"),
        ({"metadata.a": float("inf")}, "/filters/metadata.a/eq"),
        ({"metadata.a": 10**400}, "/filters/metadata.a/eq"),
        ({"metadata.a": "x" * 2_001}, "/filters/metadata.a/eq"),
        ({"metadata.a": "\ud800"}, "/filters/metadata.a/eq"),
        ({"and": []}, "/filters/and"),
        ({"or": [{"page": 1}, 5]}, "/filters/or/1"),
        ({"metadata.a": {"in": list(range(1_001))}}, "/filters/metadata.a/in"),
    ],
)
def test_what_is_no_filter_is_refused_at_its_place(filters: object, pointer: str) -> None:
    with pytest.raises(InvalidSearch) as refusal:
        parse_filters(filters)
    assert refusal.value.pointer == pointer


def test_filters_have_a_greatest_depth_and_size() -> None:
    deep: dict[str, Any] = {"page": 1}
    for _ in range(8):
        deep = {"not": deep}
    with pytest.raises(InvalidSearch, match="deep"):
        parse_filters(deep)
    with pytest.raises(InvalidSearch, match="100 comparisons"):
        parse_filters({"or": [{"page": number} for number in range(101)]})


@given(ROWS, FILTERS)
def test_not_turns_every_filter_around(row: FilterRow, filters: dict[str, Any]) -> None:
    assert matches(parse_filters({"not": filters}), row) != matches(parse_filters(filters), row)


@given(ROWS, FILTERS, FILTERS)
def test_and_and_or_are_those_of_logic(row: FilterRow, left: dict[str, Any], right: dict[str, Any]) -> None:
    one, two = matches(parse_filters(left), row), matches(parse_filters(right), row)
    assert matches(parse_filters({"and": [left, right]}), row) == (one and two)
    assert matches(parse_filters({"or": [left, right]}), row) == (one or two)


@given(st.text())
def test_a_literal_ends_only_where_it_ends(text: str) -> None:
    literal = text_literal(text)
    assert literal[0] == literal[-1] == "'"
    assert "'" not in literal[1:-1].replace("''", "")
    assert literal[1:-1].replace("''", "'") == text


def test_everything_is_no_predicate() -> None:
    assert render_sql(EVERYTHING) is None
    assert parse_filters(None) == EVERYTHING
    assert matches(EVERYTHING, ROW)


def test_documents_are_rendered_as_a_list() -> None:
    assert render_sql(of_documents(("a", "b'c"))) == "coalesce(document_id IN ('a', 'b''c'), false)"
    assert matches(of_documents(("doc_1", "doc_2")), ROW)


def test_metadata_is_stored_for_equality_and_for_ranges() -> None:
    columns = metadata_columns({"year": 2024, "lang": "zh", "draft": True})
    assert columns["metadata_terms"] == [
        '["year"]', '["year", 2024]', '["lang"]', '["lang", "zh"]', '["draft"]', '["draft", true]',
    ]  # fmt: skip
    assert columns["metadata_numbers"] == '{"year": 2024.0}'
    assert columns["metadata_strings"] == '{"lang": "zh"}'
