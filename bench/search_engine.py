"""The bare engine of `bench/search.py`: LanceDB alone, on the table that the service searches, and the rows of that."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from bench.retrieval import row_of
from knowledge.index import IndexTable
from knowledge.lance_imports import import_match_query
from knowledge.lance_index import LanceIndex
from knowledge.terms import query_terms
from knowledge.vectors import Vectors

CHUNKS_A_DOCUMENT: Final = 10_000
"""Few and large writes: the index is compacted after each."""


class Engine:
    """LanceDB alone on the table of a knowledge base; `scans`: as if there were no index on vectors, its default."""

    def __init__(self, rows: Any, vectors: Mapping[str, Vectors], *, scans: bool = False) -> None:
        self._rows = rows
        self._vectors = vectors
        self._scans = scans

    async def ask(self, query: str) -> None:
        words = import_match_query()(" ".join(query_terms(query)), "terms")
        near = self._rows.query().nearest_to(self._vectors[query]).distance_type("dot")
        asked = (near.bypass_vector_index() if self._scans else near).nearest_to_text(words)
        found = await asked.limit(10).to_list()
        assert found


async def fill(folder: Path, table: IndexTable, chunks: int, texts: Sequence[str], dimensions: int) -> float:
    """Seconds that writing took."""
    rng = np.random.default_rng(7)
    index, started = LanceIndex(str(folder)), time.perf_counter()
    for number in range(max(1, chunks // CHUNKS_A_DOCUMENT)):
        document = f"doc_bench{number}"
        vectors = rng.normal(size=(CHUNKS_A_DOCUMENT, dimensions)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        picked = rng.integers(len(texts), size=CHUNKS_A_DOCUMENT)
        rows = [
            row_of(document, f"{texts[one]} {number}-{place}", vector)
            for place, (one, vector) in enumerate(zip(picked, vectors, strict=True))
        ]
        numbered = [
            msgspec.structs.replace(row, chunk=msgspec.structs.replace(row.chunk, ordinal=place))
            for place, row in enumerate(rows)
        ]
        await index.upsert(table, document, numbered)
    await index.optimize(table)
    await index.close()
    return time.perf_counter() - started
