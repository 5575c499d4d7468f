import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.chunk import Chunk
from knowledge.neighbours import context_of, places_around, run_around


def chunk(ordinal: int, text: str, start: int, *, end: int | None = None, page: int | None = None) -> Chunk:
    return Chunk(f"id{ordinal}", ordinal, text, start, start + len(text) if end is None else end, page, (), 1)


def test_places_are_on_both_sides_and_none_before_the_first() -> None:
    assert places_around("doc", 1, 2) == [("doc", 0), ("doc", 2), ("doc", 3)]
    assert places_around("doc", 5, 0) == []


def test_what_is_missing_ends_the_run_on_its_side() -> None:
    middle, others = chunk(4, "e", 8), [chunk(ordinal, "x", 2 * ordinal) for ordinal in (1, 3, 5, 7)]
    assert [one.ordinal for one in run_around(middle, others)] == [3, 4, 5]


@given(st.text(min_size=1, max_size=60), st.data())
def test_chunks_that_overlap_or_touch_are_the_text_again(text: str, data: st.DataObject) -> None:
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, len(text) - 1), max_size=5))})
    ends = [min(len(text), cut + data.draw(st.integers(0, 8))) for cut in cuts[1:]] + [len(text)]
    chunks = [
        chunk(place, text[start:end], start, page=place)
        for place, (start, end) in enumerate(zip(cuts, ends, strict=True))
    ]
    context = context_of(chunks)
    assert (context.text, context.span, context.page) == (text, (0, len(text)), 0)
    assert context.chunk_ids == tuple(one.chunk_id for one in chunks)


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (chunk(1, "two", 6), "one.\ntwo"),
        (chunk(1, "two", 4), "one.two"),
        (chunk(1, "another", 4, end=7), "one.another"),
        (chunk(1, "edited", 2, end=7), "one.\nedited"),
    ],
)
def test_gaps_become_line_ends_and_edited_chunks_stay_whole(second: Chunk, text: str) -> None:
    assert context_of([chunk(0, "one.", 0), second]).text == text
