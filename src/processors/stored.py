"""Reads back what earlier steps stored, and checks that it is what they recorded."""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np

from domain.amounts import counted
from domain.results import Batch, ChunkFacts
from knowledge.chunk import Chunk, decode_chunks
from knowledge.errors import KnowledgeError
from knowledge.vectors import Vectors, decode_vectors
from processors.artifacts import is_what_was_stored
from processors.aside import aside
from processors.bundle import Bundle, ReadBlobs, get_named
from processors.failures import BlobCorrupt

CHECKED_INLINE_BYTES_MAX: Final = 256 * 1024
"""SHA-256 takes 0.15 ms for this much; longer blobs are hashed in a thread."""


async def load(blobs: ReadBlobs, name: str) -> bytes:
    """Raises BlobCorrupt, BlobMissing."""
    if isinstance(blobs, Bundle) and (held := blobs.held(name)) is not None:
        # Hashing more than 2 kB lets go of the interpreter, which a model's thread then keeps for milliseconds.
        return held
    content = await get_named(blobs, name)
    if len(content) <= CHECKED_INLINE_BYTES_MAX:
        is_sound = is_what_was_stored(name, content)
    else:
        is_sound = await asyncio.to_thread(is_what_was_stored, name, content)
    if not is_sound:
        raise BlobCorrupt(f"{name} is not what was stored under this name")
    return content


async def load_chunks(blobs: ReadBlobs, facts: ChunkFacts) -> tuple[Chunk, ...]:
    """Raises BlobCorrupt, BlobMissing."""
    encoded = await load(blobs, facts.chunks_blob)
    try:
        chunks = await aside(len(encoded), decode_chunks, encoded)
    except KnowledgeError as error:
        raise BlobCorrupt(str(error)) from error
    if [chunk.ordinal for chunk in chunks] != list(range(facts.chunks)):
        raise BlobCorrupt(f"other chunks are stored than the {facts.chunks} that were recorded")
    return chunks


async def load_vectors(blobs: ReadBlobs, batches: Sequence[Batch]) -> Vectors:
    """The vectors of all batches in the order of their chunks. Raises BlobCorrupt, BlobMissing."""
    encoded = await asyncio.gather(*(load(blobs, batch.vectors_blob) for batch in batches))
    try:
        parts = [decode_vectors(one) for one in encoded]
        vectors: Vectors = np.concatenate(parts)
    except (KnowledgeError, ValueError) as error:
        raise BlobCorrupt(str(error)) from error
    for part, batch in zip(parts, batches, strict=True):
        if len(part) != batch.last_chunk - batch.first_chunk + 1:
            raise BlobCorrupt(f"{batch.vectors_blob} holds {counted(len(part), 'vector')}, others were recorded")
    return vectors
