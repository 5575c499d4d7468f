import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.local_reranker import LocalReranker, pair_scores
from knowledge.reranker import Candidate

CANDIDATES = st.lists(st.builds(Candidate, st.text(max_size=40), st.floats(0, 1)), max_size=12)


@pytest.mark.parametrize(
    ("query", "apart", "together"),
    [
        (
            "water wheel bearing",
            "The bearing of the mill needs grease; a wheel carries water.",
            "The water wheel turns.",
        ),
        ("石磨开槽", "石磨今天开门，开槽要等春天。", "每年春天石磨开槽。"),
    ],
)
async def test_words_that_stand_together_in_the_query_weigh_more_where_they_do(
    query: str, apart: str, together: str
) -> None:
    scores = await LocalReranker().rerank(query, [Candidate(apart, 0.5), Candidate(together, 0.5)])
    assert scores[1] > scores[0]


async def test_a_query_of_one_word_keeps_the_order_of_the_search() -> None:
    scores = await LocalReranker().rerank("wheel", [Candidate("wheel", 0.2), Candidate("stone", 9.0), Candidate("", 1)])
    assert scores[1] > scores[2] > scores[0]


@given(st.text(max_size=60), CANDIDATES)
def test_every_candidate_has_a_score_between_0_and_1(query: str, candidates: list[Candidate]) -> None:
    scores = pair_scores(query, candidates)
    assert len(scores) == len(candidates)
    assert all(0 <= score <= 1 + 1e-9 for score in scores)


@given(CANDIDATES, st.randoms())
def test_the_order_of_the_candidates_says_nothing(candidates: list[Candidate], random: object) -> None:
    shuffled = list(range(len(candidates)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # the strategy gives a random.Random
    scores = pair_scores("old water wheel", candidates)
    assert pair_scores("old water wheel", [candidates[place] for place in shuffled]) == pytest.approx(
        [scores[place] for place in shuffled]
    )
