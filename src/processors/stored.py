"""Reads back what earlier steps stored, and checks that it is what they recorded."""

import asyncio
from collections.abc import Sequence

import numpy as np

from blobs.store import BlobStore
from domain.document import Batch, ChunkFacts
from knowledge.chunk import Chunk, decode_chunks
from knowledge.errors import KnowledgeError
from knowledge.vectors import Vectors, decode_vectors
from processors.failures import BlobCorrupt


async def load_chunks(blobs: BlobStore, facts: ChunkFacts) -> tuple[Chunk, ...]:
    """Raises BlobCorrupt, BlobMissing."""
    encoded = await blobs.get(facts.chunks_blob)
    try:
        chunks = await asyncio.to_thread(decode_chunks, encoded)
    except KnowledgeError as error:
        raise BlobCorrupt(str(error)) from error
    if [chunk.ordinal for chunk in chunks] != list(range(facts.chunks)):
        raise BlobCorrupt(f"{facts.chunks} chunks were recorded, others are stored")
    return chunks


async def load_vectors(blobs: BlobStore, batches: Sequence[Batch]) -> Vectors:
    """The vectors of all batches in the order of their chunks. Raises BlobCorrupt, BlobMissing."""
    encoded = await asyncio.gather(*(blobs.get(batch.vectors_blob) for batch in batches))
    try:
        parts = [decode_vectors(one) for one in encoded]
        vectors: Vectors = np.concatenate(parts)
    except (KnowledgeError, ValueError) as error:
        raise BlobCorrupt(str(error)) from error
    for part, batch in zip(parts, batches, strict=True):
        if len(part) != batch.last_chunk - batch.first_chunk + 1:
            raise BlobCorrupt(f"{batch.vectors_blob} holds {len(part)} vectors, others were recorded")
    return vectors
