from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.ranking import HIGHLIGHTS_MAX, Fusion, Sides, highlight, interleave, leading, normalise, trim
from knowledge.ranking import fuse as fuse_models

SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-5, 50, allow_nan=False), max_size=8)


def fuse(
    keyword: dict[str, float], vector: dict[str, float], *, fusion: Fusion, vector_weight: float
) -> dict[str, float]:
    return fuse_models([Sides(keyword, vector, vector_weight)], fusion)


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


def test_trim_keeps_the_order_and_what_scores_enough() -> None:
    scores = {"b": 0.5, "a": 0.5, "c": 0.9, "d": 0.1}
    order = interleave([scores])
    assert order == ["c", "a", "b", "d"]
    assert trim(order, scores, top_k=3, min_score=None) == ["c", "a", "b"]
    assert trim(order, scores, top_k=9, min_score=0.5) == ["c", "a", "b"]
    assert trim(order, scores, top_k=9, min_score=1.0) == []


@given(SCORES, st.integers(0, 9))
def test_the_leading_ones_are_the_best_and_all_that_are_as_good_as_the_last_of_them(
    scores: dict[str, float], count: int
) -> None:
    chosen = leading(scores, count)
    assert len(chosen) >= min(count, len(scores))
    assert [scores[key] for key in chosen] == sorted((scores[key] for key in chosen), reverse=True)
    least = min((scores[key] for key in chosen), default=None)
    assert all(least is None or scores[key] < least for key in scores.keys() - set(chosen))
    if len(chosen) > count > 0:
        assert scores[chosen[count - 1]] == least, "more than asked for only where they are equal"


def test_ranks_of_equal_scores_go_by_the_names_of_keys() -> None:
    sides = [Sides({"1": 2.0, "2": 2.0}, {}, 0.3)]
    by_key, by_name = fuse_models(sides, Fusion.RRF), fuse_models(sides, Fusion.RRF, {"1": "b", "2": "a"})
    assert by_key["1"] > by_key["2"]
    assert by_name == {"1": by_key["2"], "2": by_key["1"]}


def of_another_model(scores: dict[str, float]) -> dict[str, float]:
    return {key.upper(): score for key, score in scores.items()}


@given(SCORES, SCORES, SCORES, SCORES, st.floats(0, 1), st.sampled_from(Fusion))
def test_a_second_model_leaves_the_order_within_the_first_alone(
    keyword: dict[str, float],
    vector: dict[str, float],
    other_keyword: dict[str, float],
    other_vector: dict[str, float],
    weight: float,
    fusion: Fusion,
) -> None:
    cosines = {key: vector.get(key, 0.0) for key in keyword | vector}
    words = {key: abs(score) for key, score in keyword.items()}
    others = Sides(
        of_another_model({key: abs(score) for key, score in other_keyword.items()}),
        of_another_model({key: other_vector.get(key, 0.0) for key in other_keyword | other_vector}),
        weight,
    )
    both = fuse_models([Sides(words, cosines, 0.0), others], fusion)
    assert both.keys() == cosines.keys() | others.keys
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in both.values())
    if fusion is Fusion.CONVEX and words:
        assert all(both[one] >= both[two] for one in words for two in words if words[one] >= words[two])


def test_a_knowledge_base_without_the_words_does_not_rise_beside_the_one_that_has_them() -> None:
    has_words = Sides({"right": 9.0, "near": 3.0}, {"right": 0.5, "near": 0.6}, 0.3)
    has_none = Sides({}, {"STRANGE": 0.2, "STRANGER": 0.1}, 0.3)
    fused = fuse_models([has_words, has_none], Fusion.CONVEX)
    assert max(fused, key=lambda key: fused[key]) == "right"
    assert fused["STRANGE"] == pytest.approx(0.3)


@given(st.lists(SCORES, max_size=4))
def test_interleaving_takes_turns_and_loses_nothing(rankings: list[dict[str, float]]) -> None:
    named = [{f"{number}{key}": score for key, score in side.items()} for number, side in enumerate(rankings)]
    order = interleave(named)
    assert sorted(order) == sorted(key for side in named for key in side)
    for side in named:
        scores = [side[key] for key in order if key in side]
        assert scores == sorted(scores, reverse=True)
    firsts = [max(side.values()) for side in named if side]
    assert sorted(named[int(key[0])][key] for key in order[: len(firsts)]) == sorted(firsts)


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
