"""Those who look for vectors at the same time: how many go into one query."""

from hypothesis import given
from hypothesis import strategies as st

from knowledge.lance_lookups import KEYS_MAX, fitting_keys

CALLERS = st.lists(st.integers(1, KEYS_MAX + 9).map(lambda keys: ["key"] * keys), max_size=9)


@given(CALLERS)
def test_as_many_callers_ask_together_as_have_no_more_keys_than_one_query_takes(callers: list[list[str]]) -> None:
    count = fitting_keys(callers)
    assert sum(map(len, callers[:count])) <= KEYS_MAX
    assert count == len(callers) or sum(map(len, callers[: count + 1])) > KEYS_MAX
