"""Rows of the index as LanceDB stores them: schema, row to columns, columns to hit.

Data dictionary of a table (one row a chunk):
  chunk_id, document_id   together the key; B-tree on document_id
  filename                the document's name, for answers and filters
  ordinal, text, start, end, page, headings, tokens   the chunk; page is null where the format has none
  terms                   index terms with blanks between them (terms.py); full-text index, cut at blanks only
  metadata, metadata_terms, metadata_numbers, metadata_strings   see filter_sql.py; label list on metadata_terms
  context                 the larger passage that is answered in place of the chunk; empty where there is none
  fence                   number of the attempt that wrote the row: a lower one never replaces it
  vector_key              what the vector was made of (index.py), to be found by those who need the same one
  vector                  float32, unit length; in a large table indexed, none of it rounded (lance_vectors.py)
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from knowledge.chunk import Chunk, indexed_text
from knowledge.filter_sql import metadata_columns, render_sql, text_literal
from knowledge.filters import Filter
from knowledge.index import Hit, IndexRow
from knowledge.neighbours import Place
from knowledge.terms import index_terms
from knowledge.vectors import Vectors

CHUNK_COLUMNS = ["chunk_id", "document_id", "ordinal", "text", "start", "end", "page", "headings", "tokens", "context"]
HIT_COLUMNS = [*CHUNK_COLUMNS, "filename", "metadata"]

_ROWS_PER_KEY = 4
_ROWS_MORE = 64


def table_schema(dimensions: int) -> pa.Schema:
    """The schema of a table whose vectors have this length."""
    fields: list[pa.Field[Any]] = [
        pa.field("chunk_id", pa.string(), nullable=False),
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("filename", pa.string(), nullable=False),
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("page", pa.int32()),
        pa.field("headings", pa.list_(pa.string()), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("terms", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("metadata_terms", pa.list_(pa.string()), nullable=False),
        pa.field("metadata_numbers", pa.json_()),
        pa.field("metadata_strings", pa.json_()),
        pa.field("context", pa.string()),
        pa.field("fence", pa.int64(), nullable=False),
        pa.field("vector_key", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
    ]
    return pa.schema(fields)


def to_table(rows: Sequence[tuple[IndexRow, int]], dimensions: int) -> pa.Table:
    """Rows with their fences as one Arrow table; vectors are taken over as one block, not number by number."""
    schema = table_schema(dimensions)
    records = [_record(row, fence) for row, fence in rows]
    vectors = np.ascontiguousarray([row.vector for row, _ in rows], dtype=np.float32).reshape(-1)
    columns = [
        pa.array([record[name] for record in records], type=schema.field(name).type) for name in schema.names[:-1]
    ]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors, type=pa.float32()), dimensions))
    return pa.Table.from_arrays(columns, schema=schema)


async def read_fences(rows: Any, predicate: str | None) -> dict[str, list[int]]:
    """The fence of each row that the predicate (SQL) is true for, by document."""
    query = rows.query() if predicate is None else rows.query().where(predicate)
    found = await query.select(["document_id", "fence"]).to_arrow()
    fences: dict[str, list[int]] = {}
    for document_id, fence in zip(found["document_id"].to_pylist(), found["fence"].to_pylist(), strict=True):
        fences.setdefault(document_id, []).append(fence)
    return fences


async def read_vectors(rows: Any, keys: Sequence[str]) -> dict[str, Vectors]:
    """Vectors by their key; at most four rows a key are looked at, so a key of very many rows may hide another."""
    wanted = ", ".join(text_literal(key) for key in keys)
    query = rows.query().where(f"vector_key IN ({wanted})").limit(_ROWS_PER_KEY * len(keys) + _ROWS_MORE)
    found = await query.select(["vector_key", "vector"]).to_arrow()
    if not len(found):
        return {}
    # The type information of pyarrow knows no list arrays.
    block: Any = found["vector"].combine_chunks()
    vectors: Vectors = block.flatten().to_numpy(zero_copy_only=False).reshape(len(found), -1)
    return dict(zip(found["vector_key"].to_pylist(), vectors, strict=True))


async def read_chunks(rows: Any, places: Collection[Place]) -> dict[Place, Chunk]:
    """Chunks by document and ordinal."""
    ordinals: dict[str, set[int]] = {}
    for document_id, ordinal in places:
        ordinals.setdefault(document_id, set()).add(ordinal)
    parts = [
        f"(document_id = {text_literal(document_id)} AND ordinal IN ({', '.join(map(str, sorted(wanted)))}))"
        for document_id, wanted in ordinals.items()
    ]
    found = await rows.query().where(" OR ".join(parts)).select(CHUNK_COLUMNS).to_arrow()
    return {(record["document_id"], record["ordinal"]): _chunk(record) for record in found.to_pylist()}


async def find(query: Any, limit: int, filters: Filter, columns: Sequence[str]) -> pa.Table:
    """Runs a query of LanceDB that scores: these columns of its rows that pass the filter, and their `_rowid`.

    The filter applies before the search, so that rare rows are found.
    """
    predicate = render_sql(filters)
    if predicate is not None:
        query = query.where(predicate)
    found: pa.Table = await query.limit(limit).select([*columns]).with_row_id().to_arrow()
    return found


def scored(found: pa.Table, column: str) -> Iterator[tuple[str, float]]:
    """The `_rowid` of each found row with its score in this column."""
    # The type information of pyarrow has a missing value in every column.
    numbers: Any = found["_rowid"].to_pylist()
    scores: Any = found[column].to_pylist()
    return zip(map(str, numbers), scores, strict=True)


async def read_hits(rows: Any, numbers: Sequence[int]) -> dict[int, Hit]:
    """What rows say, by their `_rowid` of the same version."""
    found = await rows.take_row_ids([*numbers]).select(HIT_COLUMNS).with_row_id().to_arrow()
    return {record["_rowid"]: _to_hit(record) for record in found.to_pylist()}


def similarities(found: pa.Table, vector: Vectors) -> list[float]:
    """The cosine of each found row's `vector` column with a unit vector; taken as one block, not number by number."""
    # The type information of pyarrow knows no list arrays.
    block: Any = found["vector"].combine_chunks()
    values: Vectors = block.flatten().to_numpy(zero_copy_only=False)
    products: list[float] = (values.reshape(-1, len(vector)) @ vector).tolist()
    return products


def _to_hit(record: Mapping[str, Any]) -> Hit:
    """A row with `HIT_COLUMNS`."""
    # Most rows have none.
    metadata = {} if record["metadata"] == "{}" else json.loads(record["metadata"])
    return Hit(record["document_id"], record["filename"], _chunk(record), metadata)


def _chunk(record: Mapping[str, Any]) -> Chunk:
    return Chunk(
        chunk_id=record["chunk_id"],
        ordinal=record["ordinal"],
        text=record["text"],
        start=record["start"],
        end=record["end"],
        page=record["page"],
        headings=tuple(record["headings"]),
        tokens=record["tokens"],
        context=record["context"] or "",
    )


def _record(row: IndexRow, fence: int) -> dict[str, object]:
    chunk = row.chunk
    return {
        "chunk_id": chunk.chunk_id,
        "document_id": row.document_id,
        "filename": row.filename,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "headings": list(chunk.headings),
        "tokens": chunk.tokens,
        "context": chunk.context,
        "terms": index_terms(indexed_text(chunk)),
        **metadata_columns(row.metadata),
        "fence": fence,
        "vector_key": row.vector_key,
    }
