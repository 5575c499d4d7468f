"""The rows of a document as searches shall find them: its chunks and vectors, with what persons changed of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from domain.document import Edit, Embedded, Indexed
from knowledge.chunk import Chunk, count_tokens, indexed_text
from knowledge.embedders import Embedding
from knowledge.index import Index, IndexRow, IndexTable, vector_key_of
from knowledge.vectors import Vectors
from processors.bundle import StepBlobs
from processors.embedder_for import EmbedderFor, embedding_of_vectors
from processors.provider import ProviderGate
from processors.provider_calls import ProviderCalls
from processors.stored import load_chunks, load_vectors

EMBEDDED_TOGETHER_MAX: Final = 64

EmbedChunks = Callable[[Embedding, Sequence[Chunk]], Awaitable[Vectors]]
"""As other vectors of a document were made; at least one chunk. Raises EmbeddingError."""


class Rows(msgspec.Struct, frozen=True):
    """`rows` of what is switched on; `edits_lost` are edited chunks that the document has no more."""

    rows: list[IndexRow]
    edits_lost: tuple[str, ...]


class RowMaker:
    """Vectors of edited texts are looked for in the index, and made where they are not there."""

    def __init__(self, blobs: StepBlobs, index: Index, embed: EmbedChunks) -> None:
        self._blobs = blobs
        self._index = index
        self._embed = embed

    async def rows(self, document_id: str, document: Embedded | Indexed, table: IndexTable) -> Rows:
        """Raises BlobCorrupt, EmbeddingError, IndexUnavailable and what the blob store raises."""
        edits = {edit.chunk_id: edit for edit in document.record.edits}
        chunks, vectors = await asyncio.gather(
            load_chunks(self._blobs, document.chunks), load_vectors(self._blobs, document.batches)
        )
        lost = tuple(sorted(edits.keys() - {chunk.chunk_id for chunk in chunks}))
        if not document.record.enabled:
            return Rows([], lost)
        rows = [
            _row(document_id, document, edited_chunk(chunk, edits.get(chunk.chunk_id)), vector)
            for chunk, vector in zip(chunks, vectors, strict=True)
            if chunk.chunk_id not in edits or edits[chunk.chunk_id].enabled
        ]
        made = await self._vectors(table, embedding_of_vectors(document.vectors), _rewritten(rows, edits))
        return Rows([replace(row, vector=made.get(row.vector_key, row.vector)) for row in rows], lost)

    async def _vectors(self, table: IndexTable, embedding: Embedding, rows: Sequence[IndexRow]) -> dict[str, Vectors]:
        """By vector key, of rows whose text is not the one that their document's vectors were made of."""
        if not rows:
            return {}
        wanted = {row.vector_key: row.chunk for row in rows}
        known = await self._index.vectors(table, wanted.keys())
        missing = [key for key in wanted if key not in known]
        for start in range(0, len(missing), EMBEDDED_TOGETHER_MAX):
            part = missing[start : start + EMBEDDED_TOGETHER_MAX]
            known |= zip(part, await self._embed(embedding, [wanted[key] for key in part]), strict=True)
        return known


def embed_through(embedder_for: EmbedderFor, gate: ProviderGate) -> EmbedChunks:
    """As the embedding step does it, admitted by the gate that all workers share."""

    async def embed(embedding: Embedding, chunks: Sequence[Chunk]) -> Vectors:
        calls = ProviderCalls(embedder_for(embedding), gate, sleep=asyncio.sleep, texts_max=EMBEDDED_TOGETHER_MAX)
        return await calls.embed(chunks)

    return embed


def edited_chunk(chunk: Chunk, edit: Edit | None) -> Chunk:
    """A chunk as a person has written it anew; its place stays that of what was cut."""
    if edit is None or edit.text is None:
        return chunk
    return replace(chunk, text=edit.text, tokens=count_tokens(edit.text), context="")


def _row(document_id: str, document: Embedded | Indexed, chunk: Chunk, vector: Vectors) -> IndexRow:
    about, made_by = document.record.about, document.vectors
    return IndexRow(
        document_id=document_id,
        filename=about.filename,
        chunk=chunk,
        vector=vector,
        metadata=about.metadata,
        vector_key=vector_key_of(made_by.model, made_by.dimensions, f"{made_by.passage_prefix}{indexed_text(chunk)}"),
    )


def _rewritten(rows: Sequence[IndexRow], edits: Mapping[str, Edit]) -> list[IndexRow]:
    return [row for row in rows if (edit := edits.get(row.chunk.chunk_id)) is not None and edit.text is not None]
