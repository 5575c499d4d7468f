"""What was written is known to be, whatever else was; and knowing it takes no more memory for more rows."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from projections.projection import DOCUMENTS, TASKS, RowKey
from projections.written_rows import WrittenRows

keys = st.builds(RowKey, st.sampled_from([DOCUMENTS, TASKS]), st.text("0123456789abcdef", min_size=1, max_size=8))


@given(st.lists(keys), st.sampled_from([1, 8, 64]))
def test_no_row_that_was_written_is_taken_for_new(written: list[RowKey], places: int) -> None:
    rows = WrittenRows(places)
    for key in written:
        rows.note([key])
    assert rows.among(written) == written


def test_nothing_is_there_at_first() -> None:
    assert WrittenRows().among([RowKey(TASKS, "task_1")]) == []


def test_few_rows_that_are_new_are_taken_for_written_and_all_of_them_take_the_same_memory() -> None:
    rows = WrittenRows()
    tracemalloc.start()
    rows.note(RowKey(DOCUMENTS, f"doc_{number:034x}") for number in range(100_000))
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 100_000
    new = [RowKey(DOCUMENTS, f"doc_{number:034x}") for number in range(100_000, 110_000)]
    assert len(rows.among(new)) < 100
