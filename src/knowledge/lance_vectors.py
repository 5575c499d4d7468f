"""The index on the vectors of a Lance table: exact, held in memory between queries, kept up by compaction.

A scan copies every vector out of the page cache for each query: of 50,000 with 512 numbers each 100 MB and 50 ms of
processor time, half of it the kernel's. IVF_FLAT holds the same numbers, none of them rounded, in memory (10 ms). Its
partitions are there to leave some of them out; a query that looks into all of them finds what a scan finds, in the same
order. LanceDB splits a partition that has grown, so their number is never relied on.

Rows that were written since are scanned beside it, and deleted ones are masked, so it may be old, or half built by a
process that died, or missing: nothing is found or missed by that.
"""

from typing import Any, Final

VECTOR_COLUMN: Final = "vector"

VECTOR_INDEX_ROWS_MIN: Final = 5_000
"""Rows from which on vectors have an index; a scan of fewer (512 numbers each) takes less than 5 ms."""

SEGMENTS_MAX: Final = 8
"""Each compaction adds a part of what is new; so many are made one again. Parts keep fragments apart, too: compaction
joins those of one part only, so it rewrites what is new (35 MB at 50,000 chunks) and not the whole table (290 MB)."""

ALL_PARTITIONS: Final = 1_000_000
"""More than there can be."""


def exactly(query: Any) -> Any:
    """A query by vector that an index answers as a scan would."""
    return query.distance_type("dot").nprobes(ALL_PARTITIONS)


async def wants_vector_index(rows: Any, rows_min: int) -> bool:
    """Whether the vectors of an open table should get an index, or one in the place of many parts."""
    present = [index for index in await rows.list_indices() if VECTOR_COLUMN in index.columns]
    if present:
        return max(index.num_segments or 1 for index in present) > SEGMENTS_MAX
    return bool(await rows.count_rows() >= rows_min)


async def build_vector_index(rows: Any) -> None:
    """Builds it in one commit beside searches and writers (1 s of processor time and 200 MB written for 50,000)."""
    from lancedb.index import IvfFlat

    await rows.create_index(VECTOR_COLUMN, config=IvfFlat(distance_type="dot"), replace=True)
