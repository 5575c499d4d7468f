"""Filters as Qdrant's conditions, judged by its client's own reading of them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.filters import Every, Filter, FilterRow, Not, Some, matches, parse_filters
from tests.contract.filter_strategies import DOCUMENT_IDS, FILTERS, METADATA, PAGES

ROWS = st.builds(FilterRow, DOCUMENT_IDS, DOCUMENT_IDS.map(lambda name: f"{name}.txt"), PAGES, METADATA)
ALIKE = st.text("aé磨😀", min_size=2, max_size=16)
"""Strings of which many share what the server compares."""

ROW = FilterRow("doc_1", "a.txt", None, {})


def passes(filters: Filter, row: FilterRow) -> bool:
    from qdrant_client import models
    from qdrant_client.local.payload_filters import check_filter

    from knowledge.qdrant_filters import filter_payload, wide_condition

    payload = filter_payload(row.document_id, row.filename, row.page, row.metadata)
    return check_filter(models.Filter(must=[wide_condition(filters)]), payload, "id", {})


def may_be_too_wide(filters: Filter) -> bool:
    from knowledge.qdrant_filters import has_text_range

    return has_text_range(filters)


@given(row=ROWS, filters=FILTERS)
def test_what_passes_here_passes_there_and_nothing_else_without_a_range_of_strings(
    row: FilterRow, filters: dict[str, Any]
) -> None:
    parsed = parse_filters(filters)
    if may_be_too_wide(parsed):
        assert passes(parsed, row) or not matches(parsed, row)
    else:
        assert passes(parsed, row) == matches(parsed, row)


@given(value=ALIKE, bound=ALIKE, operator=st.sampled_from(["gt", "gte", "lt", "lte"]), is_negated=st.booleans())
@example(value="石磨石磨x", bound="石磨石磨y", operator="lt", is_negated=False)
@example(value="石磨石磨x", bound="石磨石磨y", operator="lt", is_negated=True)
def test_strings_are_told_apart_by_their_first_twelve_bytes_and_let_through_behind_them(
    value: str, bound: str, operator: str, is_negated: bool
) -> None:
    row = FilterRow("doc_1", "a.txt", None, {"名": value})
    asked = {"metadata.名": {operator: bound}}
    parsed = parse_filters({"not": asked} if is_negated else asked)
    assert may_be_too_wide(parsed)
    if value.encode()[:12] == bound.encode()[:12]:
        assert passes(parsed, row), "only the row itself tells"
    else:
        assert passes(parsed, row) == matches(parsed, row)


@pytest.mark.parametrize(
    ("filters", "is_true"),
    [(Every(()), True), (Not(Every(())), False), (Some(()), False), (Not(Some(())), True), (Every((Some(()),)), False)],
)
def test_nothing_asked_is_true_and_nothing_offered_is_false(filters: Filter, is_true: bool) -> None:
    assert passes(filters, ROW) is is_true is matches(filters, ROW)
