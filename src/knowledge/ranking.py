"""Two lists of hits to one: normalise, fuse, trim, highlight. Pure."""

from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar, assert_never

import msgspec

from knowledge.terms import places_of, query_terms

# How many hits of each side enter the fusion. Measured with this depth; a shallower union loses recall.
CANDIDATES = 100

# Cormack, Clarke, Büttcher: Reciprocal Rank Fusion (SIGIR 2009) found 60 on TREC data.
RRF_K = 60

HIGHLIGHTS_MAX = 100

NO_NAMES: Mapping[str, str] = {}

Key = TypeVar("Key", bound=Hashable)
Span = tuple[int, int]


class Sides(msgspec.Struct, frozen=True):
    """What both sides found for one embedding model: BM25 and cosine by key, and the vector side's share, 0 to 1."""

    keyword: Mapping[str, float]
    vector: Mapping[str, float]
    vector_weight: float

    @property
    def keys(self) -> set[str]:
        return self.keyword.keys() | self.vector.keys()


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


def fuse_convex(models: Sequence[Sides]) -> dict[str, float]:
    """(1 - w) x normalised keyword score + w x normalised vector score, 0..1, over the union of all sides.

    A hit that the keyword side lacks scores 0 there before it is normalised (it holds no term, or too few); give the
    vector side the cosines of keyword hits, too, else those count as its last. Measured on cranfield and cmrc2018:
    .377 and .980 so, .364 and .977 with 0 after normalising on both sides. With one side empty the other counts
    alone, so that a query without known words is not scaled down.

    BM25 says the same whatever the model, so the keyword side is one scale for all: a knowledge base that holds none
    of the words does not push its best hit up beside the one that does. Cosines of two models are never compared.
    """
    words = normalise({key: sides.keyword.get(key, 0.0) for sides in models for key in sides.keys})
    has_words = any(sides.keyword for sides in models)
    fused: dict[str, float] = {}
    for sides in models:
        if not sides.vector:
            fused |= {key: words[key] for key in sides.keyword}
            continue
        furthest, weight = min(sides.vector.values()), sides.vector_weight if has_words else 1.0
        near = normalise({key: sides.vector.get(key, furthest) for key in sides.keys})
        fused |= {key: (1 - weight) * words[key] + weight * near[key] for key in near}
    return fused


def fuse_rrf(models: Sequence[Sides], names: Mapping[str, str] = NO_NAMES) -> dict[str, float]:
    """Sum of 1 / (60 + rank) over both sides, scaled so that first on both is 1; one keyword ranking for all models."""
    rankings = [{key: score for sides in models for key, score in sides.keyword.items()}]
    rankings += [dict(sides.vector) for sides in models]
    fused: dict[str, float] = {}
    for side in rankings:
        for rank, key in enumerate(_ranked(side, names), start=1):
            fused[key] = fused.get(key, 0.0) + (RRF_K + 1) / (2 * (RRF_K + rank))
    return fused


def fuse(models: Sequence[Sides], fusion: Fusion, names: Mapping[str, str] = NO_NAMES) -> dict[str, float]:
    """One score, 0..1, for each hit of any side; keys of two models differ.

    `names` of keys put equal scores in order where ranks count.
    """
    match fusion:
        case Fusion.RRF:
            return fuse_rrf(models, names)
        case Fusion.CONVEX:
            return fuse_convex(models)
        case _:
            assert_never(fusion)


def interleave(rankings: Sequence[Mapping[str, float]]) -> list[str]:
    """The first of each, then the second of each: for scores of different models, which cannot be compared."""
    placed = [(rank, number, key) for number, side in enumerate(rankings) for rank, key in enumerate(_ranked(side))]
    return [key for _, _, key in sorted(placed)]


def leading(scores: Mapping[str, float], count: int) -> list[str]:
    """The `count` best keys and those that score as much as the last of them, best first."""
    order = sorted(scores, key=lambda key: -scores[key])
    if len(order) <= count:
        return order
    least = scores[order[count - 1]]
    return [key for key in order if scores[key] >= least]


def _ranked(side: Mapping[str, float], names: Mapping[str, str] = NO_NAMES) -> list[str]:
    """Best first, ties by name or, where it has none, by key."""
    return sorted(side, key=lambda key: (-side[key], names.get(key, key)))


def trim(order: Sequence[str], scores: Mapping[str, float], *, top_k: int, min_score: float | None) -> list[str]:
    """The first `top_k` of those that do not score below `min_score`."""
    return [key for key in order if min_score is None or scores[key] >= min_score][:top_k]


def highlight(text: str, query: str) -> tuple[Span, ...]:
    """Where the terms of `query` stand in `text`: disjoint spans of characters in order, 100 at most.

    What is marked is what matched: the same cutting and stemming as in the index. Overlapping pairs of Chinese
    characters come out as one span.
    """
    return _merged(sorted(places_of(_wanted(query), text)))[:HIGHLIGHTS_MAX]


@lru_cache(maxsize=16)
def _wanted(query: str) -> frozenset[str]:
    """Kept, because all passages of a search are marked one after the other."""
    return frozenset(query_terms(query))


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)
