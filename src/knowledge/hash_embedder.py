"""A tiny deterministic embedder: hashed pairs of characters. For tests and the simulation, not for answers."""

import zlib
from collections.abc import Sequence

import numpy as np

from knowledge.embedders import HASH_MODEL, NO_PREFIXES, Metered, Remote
from knowledge.vectors import Vectors, unit_vectors

DIMENSIONS_DEFAULT = 256
_GRAM_CHARS = 2


class HashEmbedder:
    """Texts that share pairs of characters point the same way; needs no model, no file and no thread."""

    def __init__(self, *, dimensions: int = DIMENSIONS_DEFAULT) -> None:
        self.model = HASH_MODEL
        self.dimensions = dimensions
        self.remote: Remote | None = None
        self.prefixes = NO_PREFIXES

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        counts = [self.counts(text) for text in texts]
        return unit_vectors(counts, rows=len(texts), dimensions=self.dimensions)

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        return Metered(await self.embed_passages(texts))

    async def embed_query(self, text: str) -> Vectors:
        vector: Vectors = (await self.embed_passages([text]))[0]
        return vector

    async def close(self) -> None:
        """There is nothing to give back."""

    def counts(self, text: str) -> Vectors:
        """How often each bucket was hit, before normalising: (dimensions,)."""
        padded = f"\x02{text.lower()}\x03"
        counts = np.zeros(self.dimensions, dtype=np.float32)
        # Grams start at each place but the end mark, so even the empty text has one and no vector is zero.
        for place in range(len(padded) - 1):
            gram = padded[place : place + _GRAM_CHARS].encode("utf-8", "surrogatepass")
            counts[zlib.crc32(gram) % self.dimensions] += 1
        return counts
