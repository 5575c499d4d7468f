"""Metadata, rows and filters over few keys and values, so that filters often hit."""

from typing import Any

from hypothesis import strategies as st

KEYS = st.sampled_from(["lang", "year", "a.b", "it's", "键", 'q"q', "back\\slash", "/~"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 2024, 10**15, 1.0, 0.5, -2.5, 2024.0, 1e300])
STRINGS = st.sampled_from(["", "en", "zh", "EN", "1", "true", "it's", "a\\b", "磨坊", "😀", "~", "null", "a\nb"])
ORDERED = st.one_of(NUMBERS, STRINGS)
SCALARS = st.one_of(st.booleans(), ORDERED)
METADATA = st.dictionaries(KEYS, SCALARS, max_size=4)
PAGES = st.one_of(st.none(), st.integers(1, 4))
DOCUMENT_IDS = st.sampled_from(["doc_0", "doc_1", "doc_2", "doc_3", "doc_9"])
FILENAMES = DOCUMENT_IDS.map(lambda name: f"{name}.txt")


def _comparisons(values: st.SearchStrategy[Any], ordered: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        values,
        st.dictionaries(st.sampled_from(["eq", "ne"]), values, min_size=1),
        st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), ordered, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["in", "nin"]), st.lists(values, min_size=1, max_size=3), min_size=1),
        st.fixed_dictionaries({"exists": st.booleans()}),
    )


PAGE_VALUES = st.one_of(st.integers(0, 5), st.just(1.5))
METADATA_FIELDS = KEYS.map(lambda key: f"metadata.{key}")
FIELDS = st.one_of(
    st.dictionaries(METADATA_FIELDS, _comparisons(SCALARS, ORDERED), min_size=1, max_size=2),
    st.fixed_dictionaries({"page": _comparisons(st.one_of(PAGE_VALUES, SCALARS), st.one_of(PAGE_VALUES, ORDERED))}),
    st.fixed_dictionaries({"document_id": _comparisons(st.one_of(DOCUMENT_IDS, SCALARS), DOCUMENT_IDS)}),
    st.fixed_dictionaries({"filename": _comparisons(FILENAMES, st.one_of(FILENAMES, NUMBERS))}),
)

FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    FIELDS,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)
