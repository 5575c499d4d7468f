"""Looking for vectors that are in one Lance table already: those who ask at the same time ask in one query.

A query opens each file that was written since the last compaction, however few keys it has. Small documents ask for
four keys each, several at a time; what arrives while one query is under way goes into the next one together.
"""

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any

from knowledge.gathering import Gathering
from knowledge.vectors import Vectors

KEYS_MAX = 2_048
"""Of one query of several callers: as many as the largest batch of one document has."""

Lookups = Gathering[Collection[str], dict[str, Vectors]]


def lookups_in(rows: Any) -> Lookups:
    """Finds vectors by their keys, in the newest version of the table at the time of the query."""

    async def look(asked: Sequence[Collection[str]]) -> list[dict[str, Vectors]]:
        from knowledge.lance_rows import read_vectors

        await rows.checkout_latest()
        found = await read_vectors(rows, sorted(set().union(*asked)))
        return [{key: found[key] for key in keys if key in found} for keys in asked]

    return Gathering(look, fitting_keys, has_effect=False)


def fitting_keys(asked: Sequence[Collection[str]]) -> int:
    """How many callers, from the first, ask together."""
    together = accumulate(map(len, asked))
    return sum(1 for keys in together if keys <= KEYS_MAX)
