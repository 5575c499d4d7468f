from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.ranking import HIGHLIGHTS_MAX, Fusion, fuse, highlight, normalise, trim

SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-5, 50, allow_nan=False), max_size=8)


@given(SCORES)
def test_normalised_scores_keep_their_order_between_0_and_1(scores: dict[str, float]) -> None:
    normal = normalise(scores)
    assert all(0 <= score <= 1 for score in normal.values())
    assert all(normal[one] >= normal[two] for one in scores for two in scores if scores[one] >= scores[two])


@given(SCORES, SCORES, st.floats(0, 1), st.sampled_from(Fusion))
def test_fused_scores_are_a_union_between_0_and_1(
    keyword: dict[str, float], vector: dict[str, float], weight: float, fusion: Fusion
) -> None:
    fused = fuse(keyword, vector, fusion=fusion, vector_weight=weight)
    assert fused.keys() == keyword.keys() | vector.keys()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())


@given(SCORES, SCORES, st.sampled_from(Fusion))
def test_first_on_both_sides_is_first(keyword: dict[str, float], vector: dict[str, float], fusion: Fusion) -> None:
    fused = fuse(keyword | {"best": 51.0}, vector | {"best": 51.0}, fusion=fusion, vector_weight=0.3)
    assert max(fused, key=lambda key: fused[key]) == "best"
    assert fused["best"] == pytest.approx(1.0)


def test_one_side_alone_is_not_scaled_down() -> None:
    assert fuse({}, {"a": 0.9, "b": 0.1}, fusion=Fusion.CONVEX, vector_weight=0.3) == {"a": 1.0, "b": 0.0}
    assert fuse({"a": 7.0}, {}, fusion=Fusion.CONVEX, vector_weight=0.3) == {"a": 1.0}
    assert fuse({}, {}, fusion=Fusion.CONVEX, vector_weight=0.3) == {}


def test_the_weight_decides_between_the_sides() -> None:
    keyword, vector = {"word": 10.0, "both": 5.0}, {"meaning": 0.9, "both": 0.7, "word": 0.1}
    assert fuse(keyword, vector, fusion=Fusion.CONVEX, vector_weight=0.3) == pytest.approx(
        {"word": 0.7, "both": 0.35 + 0.3 * 0.75, "meaning": 0.3}
    )
    heavy = fuse(keyword, vector, fusion=Fusion.CONVEX, vector_weight=0.9)
    assert max(heavy, key=lambda key: heavy[key]) == "meaning"


def test_trim_keeps_the_best_with_ties_by_key() -> None:
    scores = {"b": 0.5, "a": 0.5, "c": 0.9, "d": 0.1}
    assert trim(scores, top_k=3, min_score=None) == ["c", "a", "b"]
    assert trim(scores, top_k=9, min_score=0.5) == ["c", "a", "b"]
    assert trim(scores, top_k=9, min_score=1.0) == []


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The millstones are dressed.", "dressing a millstone", ["millstones", "dressed"]),
        ("石磨每年春天重新开槽。", "石磨开槽", ["石磨", "开槽"]),
        ("今天磨面粉机停机", "面粉机", ["面粉机"]),
        ("Part MS-204/B fits", "ms-204/b", ["MS-204/B"]),
        ("Café owners", "cafe", ["Café"]),
        ("the mill", "the", []),
    ],
)
def test_highlights_mark_what_matched(text: str, query: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in highlight(text, query)] == marked


@given(st.text(max_size=80), st.text(max_size=20))
def test_highlights_are_disjoint_and_in_order(text: str, query: str) -> None:
    spans = highlight(text, query)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_highlights_are_bounded() -> None:
    assert len(highlight("mill, " * 500, "mill")) == HIGHLIGHTS_MAX
