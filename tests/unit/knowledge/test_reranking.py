import math
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ProviderError
from knowledge.hash_embedder import HashEmbedder
from knowledge.http_reranker import HttpReranker
from knowledge.reranker import Candidate, RankedText, Reranker, scores_in_order
from knowledge.retriever import Retriever
from knowledge.search import SearchProfile, SearchRequest
from tests.unit.knowledge.test_retriever import SCOPE, TEXTS, filled


class Reversing:
    """Finds the last of the search the best."""

    model = "reversing"

    def __init__(self, *, is_default: bool = True, error: ProviderError | None = None) -> None:
        self.is_default = is_default
        self.error = error
        self.seen: list[Sequence[Candidate]] = []

    async def rerank(self, _query: str, candidates: Sequence[Candidate], /) -> list[float]:
        self.seen.append(candidates)
        if self.error is not None:
            raise self.error
        return [place / 10 for place in range(len(candidates))]

    async def close(self) -> None:
        """Nothing is open."""


async def retriever(reranker: Reranker | None) -> Retriever:
    return Retriever(await filled(), lambda _: HashEmbedder(), reranker=reranker)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.randoms())
def test_scores_come_back_by_index_in_whatever_order_they_are_sent(scores: list[float], random: object) -> None:
    results = [RankedText(index, score) for index, score in enumerate(scores)]
    random.shuffle(results)  # type: ignore[attr-defined]  # the strategy gives a random.Random
    assert scores_in_order(results, len(scores)) == scores


@pytest.mark.parametrize(
    "results",
    [
        [RankedText(0, 0.5)],
        [RankedText(0, 0.5), RankedText(0, 0.4)],
        [RankedText(0, 0.5), RankedText(2, 0.4)],
        [RankedText(0, 0.5), RankedText(-1, 0.4)],
        [RankedText(0, 0.5), RankedText(1, 0.4), RankedText(1, 0.4)],
        [RankedText(0, 0.5), RankedText(1, math.inf)],
        [RankedText(0, 0.5), RankedText(1, math.nan)],
    ],
)
def test_an_answer_that_names_not_every_text_once_is_refused(results: list[RankedText]) -> None:
    with pytest.raises(ProviderError) as refusal:
        scores_in_order(results, 2)
    assert refusal.value.code == "rerank_answer"


async def test_the_enhanced_profile_takes_the_order_of_the_reranker() -> None:
    reranker = Reversing()
    searching = await retriever(reranker)
    plain = await searching.search([SCOPE], SearchRequest("rye flour"))
    assert reranker.seen == []
    result = await searching.search([SCOPE], SearchRequest("rye flour", profile=SearchProfile.ENHANCED))
    assert [one.chunk_id for one in result.passages] == [one.chunk_id for one in reversed(plain.passages)]
    assert (result.reranker, result.warnings) == ("reversing", ())
    best = result.passages[0]
    assert best.score == best.scores.rerank == pytest.approx(0.3)
    assert best.scores.fused == plain.passages[-1].score
    assert reranker.seen[0][0].text == f"Handbook\n{TEXTS[1]}"
    assert reranker.seen[0][0].score == 1.0


async def test_a_request_decides_about_reranking_where_it_says_something() -> None:
    reranker = Reversing(is_default=False)
    searching = await retriever(reranker)
    unasked = await searching.search([SCOPE], SearchRequest("flour", profile=SearchProfile.ENHANCED))
    assert (unasked.reranker, unasked.warnings) == (None, ())
    assert (await searching.search([SCOPE], SearchRequest("flour", rerank=True))).reranker == "reversing"
    refusing = await retriever(Reversing())
    never = SearchRequest("flour", profile=SearchProfile.ENHANCED, rerank=False)
    assert (await refusing.search([SCOPE], never)).reranker is None


async def test_min_score_is_compared_with_what_the_reranker_said() -> None:
    result = await (await retriever(Reversing())).search(
        [SCOPE], SearchRequest("rye flour", rerank=True, min_score=0.2)
    )
    assert [one.score for one in result.passages] == pytest.approx([0.3, 0.2])


@pytest.mark.parametrize(
    ("reranker", "code"),
    [(Reversing(error=ProviderError("provider_429", "later")), "reranker_unavailable"), (None, "no_reranker")],
)
async def test_without_its_reranker_a_search_answers_all_the_same_and_says_so(
    reranker: Reranker | None, code: str
) -> None:
    searching = await retriever(reranker)
    result = await searching.search([SCOPE], SearchRequest("rye flour", rerank=True))
    assert result.passages == (await searching.search([SCOPE], SearchRequest("rye flour"))).passages
    assert ([warning.code for warning in result.warnings], result.reranker) == ([code], None)


def test_a_reranker_shows_no_key_and_takes_no_strange_address() -> None:
    reranker = HttpReranker(base_url="http://127.0.0.1:1/v1/", api_key="sk-secret", model="m")
    assert "sk-secret" not in repr(reranker)
    assert "http://127.0.0.1:1/v1/rerank" in repr(reranker)
    for url in ("", "ftp://x", "not a url", "http://"):
        with pytest.raises(ValueError, match="base URL"):
            HttpReranker(base_url=url, api_key=None, model="m")


async def test_no_passages_are_no_call() -> None:
    assert await HttpReranker(base_url="http://127.0.0.1:1", api_key=None, model="m").rerank("q", []) == []


async def test_nobody_there_is_a_provider_error() -> None:
    reranker = HttpReranker(base_url="http://127.0.0.1:1", api_key=None, model="m")
    with pytest.raises(ProviderError) as refusal:
        await reranker.rerank("q", [Candidate("text", 1.0)])
    assert refusal.value.code == "provider_unreachable"
    assert not isinstance(refusal.value, httpx.HTTPError)
    await reranker.close()
