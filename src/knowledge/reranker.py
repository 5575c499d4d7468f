"""A second look at the best passages: how well does each answer the query? Protocol, and how answers are checked."""

import math
from collections.abc import Sequence
from typing import Protocol

import msgspec

from knowledge.errors import ProviderError


class Candidate(msgspec.Struct, frozen=True):
    """A passage as the search found it: its text under its headings, and the score that it came with."""

    text: str
    score: float


class Reranker(Protocol):
    """Scores passages against a query; higher is better, and only the order within one answer means something."""

    @property
    def model(self) -> str:
        """The name that an answer shows."""

    @property
    def is_default(self) -> bool:
        """Whether the enhanced profile uses it unasked."""

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        """A finite score for each candidate, in their order. Raises ProviderError and nothing else."""

    async def close(self) -> None:
        """Gives back connections."""


class RankedText(msgspec.Struct, frozen=True):
    """One result of a `/rerank` answer: which text, and how relevant."""

    index: int
    relevance_score: float


def scores_in_order(results: Sequence[RankedText], count: int) -> list[float]:
    """The score of each text. Raises ProviderError (`rerank_answer`) where one is missing, twice, unknown or no number.

    A provider that leaves out half of the texts would silently lose the passages that it did not name.
    """
    scores = {result.index: result.relevance_score for result in results}
    if len(results) != count or scores.keys() != set(range(count)):
        raise ProviderError("rerank_answer", f"{count} texts were sent, {len(results)} scores came back")
    if not all(math.isfinite(score) for score in scores.values()):
        raise ProviderError("rerank_answer", "a score is no finite number")
    return [scores[index] for index in range(count)]
