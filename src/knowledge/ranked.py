"""What was found in the order of its scores, with the rows of the best."""

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from knowledge.placed_rows import FoundRow, PlacedRows
from knowledge.ranking import NO_NAMES, Fusion, fuse, interleave
from knowledge.search import Scores, SearchMode, SearchWarning
from knowledge.sides import Found


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Names of rows, best first, with their scores and where each score comes from."""

    order: Sequence[str]
    scores: Mapping[str, float]
    parts: Mapping[str, Scores]
    rows: Mapping[str, FoundRow]
    reranker: str | None = None
    warnings: tuple[SearchWarning, ...] = ()


async def rank(models: Sequence[Found], mode: SearchMode, fusion: Fusion, count: int) -> Ranking:
    """At least the `count` best of each ranking, where there are as many; rankings that cannot be compared take turns.
    Raises IndexUnavailable."""
    sides = [one.sides for one in models]
    keyword = {key: score for one in sides for key, score in one.keyword.items()}
    near = {key: score for one in sides for key, score in one.vector.items()}
    rows = PlacedRows({key: placed for one in models for key, placed in one.placed.items()})
    fused: Mapping[str, float] = {}
    match mode:
        case SearchMode.KEYWORD:
            rankings: Sequence[Mapping[str, float]] = [keyword]
        case SearchMode.VECTOR:
            rankings = [one.vector for one in sides]
        case SearchMode.HYBRID:
            # Ranks of equal scores go by name, so for them every row has to be read.
            names = await rows.names() if fusion is Fusion.RRF else NO_NAMES
            fused = fuse(sides, fusion, names)
            rankings = [fused]
        case _:
            assert_never(mode)
    best = [await rows.best(scores, count) for scores in rankings]
    named = [{name: scores[row.key] for name, row in some.items()} for scores, some in zip(rankings, best, strict=True)]
    found = {name: row for some in best for name, row in some.items()}
    return Ranking(
        order=interleave(named),
        scores={name: score for some in named for name, score in some.items()},
        parts={
            name: Scores(keyword.get(row.key), near.get(row.key), fused.get(row.key)) for name, row in found.items()
        },
        rows=found,
        warnings=tuple(dict.fromkeys(warning for one in models for warning in one.warnings)),
    )
