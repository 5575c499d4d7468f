"""Where texts may be cut: nothing is lost, nothing is too long, words and Chinese clauses stay whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.chunk import count_tokens
from knowledge.cuts import bounded, cut_long, stretches

TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(["word ", "magnificently ", "石磨，", "停机。", "\n\n", "x" * 30, "- "]), max_size=60).map(
        "".join
    ),
)


@given(TEXTS, st.integers(2, 20))
def test_pieces_are_the_text_and_none_is_too_long(text: str, tokens_max: int) -> None:
    pieces = cut_long(text, tokens_max)
    assert "".join(pieces) == text
    assert all(count_tokens(piece) <= tokens_max for piece in pieces)
    assert "".join(bounded([text, text], tokens_max)) == text * 2


@given(TEXTS, st.integers(1, 20))
def test_stretches_follow_one_another(text: str, tokens_min: int) -> None:
    spans = list(stretches(text, (0, len(text)), tokens_min))
    assert "".join(text[start:end] for start, end in spans) == text


@pytest.mark.parametrize(
    ("text", "tokens_max", "pieces"),
    [
        ("the magnificent mill of the valley", 5, ["the magnificent mill of", " the valley"]),
        ("石磨每月检查，检查前停机，然后抬起上磨", 8, ["石磨每月检查，", "检查前停机，", "然后抬起上磨"]),
        ("x" * 24, 2, ["x" * 16, "x" * 8]),
    ],
)
def test_words_and_clauses_stay_whole(text: str, tokens_max: int, pieces: list[str]) -> None:
    assert cut_long(text, tokens_max) == pieces
