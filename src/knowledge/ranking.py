"""Two lists of hits to one: normalise, fuse, trim, highlight. Pure."""

from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from knowledge.terms import cut, query_terms

# How many hits of each side enter the fusion. Measured with this depth; a shallower union loses recall.
CANDIDATES = 100

# Cormack, Clarke, Büttcher: Reciprocal Rank Fusion (SIGIR 2009) found 60 on TREC data.
RRF_K = 60

HIGHLIGHTS_MAX = 100

Key = TypeVar("Key", bound=Hashable)
Span = tuple[int, int]


class Fusion(StrEnum):
    """`convex`: weighted sum of normalised scores, the default. `rrf`: ranks only, for sides with wild scores."""

    CONVEX = "convex"
    RRF = "rrf"


def normalise(scores: Mapping[Key, float]) -> dict[Key, float]:
    """Min-max to 0..1; where all are equal each is 1, because each was found."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high <= low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def fuse_convex(keyword: Mapping[Key, float], vector: Mapping[Key, float], *, vector_weight: float) -> dict[Key, float]:
    """(1 - w) x normalised keyword score + w x normalised vector score, 0..1, over the union of both.

    A hit that the keyword side lacks scores 0 there before it is normalised (it holds no term, or too few); give the
    vector side the cosines of keyword hits, too, else those count as its last. Measured on cranfield and cmrc2018:
    .377 and .980 so, .364 and .977 with 0 after normalising on both sides. With one side empty the other counts
    alone, so that a query without known words is not scaled down.
    """
    if not keyword or not vector:
        return normalise(keyword or vector)
    furthest = min(vector.values())
    keys = keyword.keys() | vector.keys()
    left = normalise({key: keyword.get(key, 0.0) for key in keys})
    right = normalise({key: vector.get(key, furthest) for key in keys})
    return {key: (1 - vector_weight) * left[key] + vector_weight * right[key] for key in keys}


def fuse_rrf(keyword: Mapping[Key, float], vector: Mapping[Key, float]) -> dict[Key, float]:
    """Sum of 1 / (60 + rank) over both sides, scaled so that first on both is 1."""
    fused: dict[Key, float] = {}
    for side in (keyword, vector):
        for rank, key in enumerate(sorted(side, key=side.__getitem__, reverse=True), start=1):
            fused[key] = fused.get(key, 0.0) + (RRF_K + 1) / (2 * (RRF_K + rank))
    return fused


def fuse(
    keyword: Mapping[Key, float], vector: Mapping[Key, float], *, fusion: Fusion, vector_weight: float
) -> dict[Key, float]:
    """One score, 0..1, for each hit of either side."""
    if fusion is Fusion.RRF:
        return fuse_rrf(keyword, vector)
    return fuse_convex(keyword, vector, vector_weight=vector_weight)


def trim(scores: Mapping[str, float], *, top_k: int, min_score: float | None) -> list[str]:
    """The best `top_k` keys, best first, ties by key; none below `min_score`."""
    kept = [key for key, score in scores.items() if min_score is None or score >= min_score]
    return sorted(kept, key=lambda key: (-scores[key], key))[:top_k]


def highlight(text: str, query: str) -> tuple[Span, ...]:
    """Where the terms of `query` stand in `text`: disjoint spans of characters in order, 100 at most.

    What is marked is what matched: the same cutting and stemming as in the index. Overlapping pairs of Chinese
    characters come out as one span.
    """
    wanted = frozenset(query_terms(query))
    spans = sorted((term.start, term.end) for term in cut(text) if term.term in wanted)
    return _merged(spans)[:HIGHLIGHTS_MAX]


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)
