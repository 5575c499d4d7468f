"""Reranking without a model: passages where words of the query that stand together stand together, too, move up.

The idea is the sequential dependence model (Metzler and Croft, SIGIR 2005): pairs of neighbouring query terms that
occur near one another are evidence of their own beside single terms. Nothing is downloaded or asked over the network;
50 passages take some milliseconds.
"""

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from knowledge.ranking import normalise
from knowledge.reranker import Candidate
from knowledge.terms import cut, query_terms

LOCAL_MODEL: Final = "local"

PAIR_WEIGHT: Final = 0.3
"""Measured on the best 50 of hybrid search: nDCG@10 cranfield .377 -> .381, cmrc2018 .982
either way. Coverage of the query's terms and their nearness in a window lowered both."""
PAIR_TERMS_MAX: Final = 2
"""How far apart a pair may stand, in terms: one may lie between."""

Pair = tuple[str, str]


class LocalReranker:
    """The search's own score, 0 to 1, plus a share for pairs; scaled so that 1 is the most there can be."""

    model = LOCAL_MODEL
    is_default = True

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        return await asyncio.to_thread(pair_scores, query, candidates)

    async def close(self) -> None:
        """There is nothing to give back."""


def pair_scores(query: str, candidates: Sequence[Candidate]) -> list[float]:
    """(score + weight x share of the pairs found) / (1 + weight) for each candidate; pairs of rare terms count more."""
    terms = query_terms(query)
    texts = [_terms_of(candidate.text) for candidate in candidates]
    rarity = {term: _rarity(sum(term in text for text in texts), len(texts)) for term in terms}
    pairs = {pair: rarity[pair[0]] + rarity[pair[1]] for pair in pairwise(terms)}
    whole = sum(pairs.values())
    priors = normalise({place: candidate.score for place, candidate in enumerate(candidates)})
    shares = [_share(text, pairs, whole) for text in texts]
    return [(priors[place] + PAIR_WEIGHT * share) / (1 + PAIR_WEIGHT) for place, share in enumerate(shares)]


def _terms_of(text: str) -> list[str]:
    return [term.term for term in cut(text)]


def _share(text: Sequence[str], pairs: dict[Pair, float], whole: float) -> float:
    if not whole:
        return 0.0
    near = {pair for apart in range(1, PAIR_TERMS_MAX + 1) for pair in zip(text, text[apart:], strict=False)}
    return sum(weight for pair, weight in pairs.items() if pair in near) / whole


def _rarity(holding: int, texts: int) -> float:
    """The idf of BM25, over the candidates alone."""
    return math.log(1 + (texts - holding + 0.5) / (holding + 0.5))
