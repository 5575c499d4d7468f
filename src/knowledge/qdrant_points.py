"""Rows of the index as points of Qdrant: row to point, point to hit. Pure.

Data dictionary of a point (one a chunk, of all knowledge bases whose vectors have the same length):
  id            UUID, the first 128 bits of SHA-256 of table, document and chunk: written twice it is one point
  table         knowledge base and generation; the tenant of Qdrant's own terms, and part of every filter
  document_id, ordinal, fence, vector_key   as in every index; vector_key is missing where it is empty
  values, ordered   what filters look at (qdrant_filters.py)
  filename, chunk, metadata   what is answered; metadata is JSON text, as numbers must come back as they were
Vectors: `dense`, float32 of unit length, compared by their product (Qdrant would normalise for a cosine, and change
them); `terms`, sparse (qdrant_terms.py).
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from qdrant_client import models

from knowledge.chunk import Chunk
from knowledge.errors import IndexUnavailable
from knowledge.filters import FilterRow
from knowledge.index import Hit, IndexRow, Match
from knowledge.qdrant_filters import filter_payload
from knowledge.qdrant_terms import row_terms
from knowledge.vectors import Vectors

DENSE: Final = "dense"
TERMS: Final = "terms"
HIT_FIELDS: Final = ["document_id", "fence", "filename", "chunk", "metadata"]
CHUNK_FIELDS: Final = ["document_id", "fence", "chunk"]


class Found(msgspec.Struct, frozen=True):
    """A point that a search answered; `fence` is that of the attempt that wrote it."""

    match: Match
    hit: Hit
    fence: int

    @property
    def filter_row(self) -> FilterRow:
        return FilterRow(self.hit.document_id, self.hit.filename, self.hit.chunk.page, self.hit.metadata)


def point_of(table: str, row: IndexRow, fence: int) -> models.PointStruct:
    """One row as the server takes it."""
    chunk = row.chunk
    payload = {
        "table": table,
        "document_id": row.document_id,
        "ordinal": chunk.ordinal,
        "fence": fence,
        **({"vector_key": row.vector_key} if row.vector_key else {}),
        **filter_payload(row.document_id, row.filename, chunk.page, row.metadata),
        "filename": row.filename,
        "chunk": msgspec.to_builtins(chunk),
        "metadata": json.dumps(dict(row.metadata)),
    }
    return models.PointStruct(
        id=point_id(table, row.document_id, chunk.chunk_id),
        vector={DENSE: row.vector.tolist(), TERMS: row_terms(chunk)},
        payload=payload,
    )


def point_id(table: str, document_id: str, chunk_id: str) -> str:
    """The same for the same row, whoever writes it."""
    digest = hashlib.sha256(f"{table}\0{document_id}\0{chunk_id}".encode("utf-8", "surrogatepass")).digest()
    return str(uuid.UUID(bytes=digest[:16]))


def found_of(point: models.ScoredPoint, similarities: Mapping[models.ExtendedPointId, float] | None = None) -> Found:
    """`similarities`: cosines by point, of a search by words that asked for them."""
    payload = payload_of(point)
    match = Match(str(point.id), point.score, None if similarities is None else similarities.get(point.id))
    hit = Hit(payload["document_id"], payload["filename"], chunk_of(payload), json.loads(payload["metadata"]))
    return Found(match, hit, payload["fence"])


def payload_of(point: models.ScoredPoint | models.Record) -> Mapping[str, Any]:
    """Raises IndexUnavailable for a point that is none of ours."""
    if point.payload is None:
        raise IndexUnavailable(f"the index holds a point without a row: {point.id}")
    return point.payload


def chunk_of(payload: Mapping[str, Any]) -> Chunk:
    """Raises IndexUnavailable for what is no chunk."""
    try:
        return msgspec.convert(payload["chunk"], Chunk)
    except (KeyError, msgspec.ValidationError) as error:
        raise IndexUnavailable(f"the index holds a row that cannot be read: {error}") from error


def vector_of(point: models.Record) -> Vectors | None:
    """The dense vector, where it was asked for."""
    vector = point.vector.get(DENSE) if isinstance(point.vector, dict) else None
    return None if vector is None else np.asarray(vector, dtype=np.float32)


def newest_of(found: Sequence[Found]) -> list[Found]:
    """Best first, ties by chunk id; of a document that is being replaced the new rows alone."""
    newest = _newest_fences((one.hit.document_id, one.fence) for one in found)
    kept = [one for one in found if one.fence == newest[one.hit.document_id]]
    return sorted(kept, key=lambda one: (-one.match.score, one.hit.chunk.chunk_id))


def _newest_fences(fences: Iterable[tuple[str, int]]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for document_id, fence in fences:
        newest[document_id] = max(fence, newest.get(document_id, fence))
    return newest
