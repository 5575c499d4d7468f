"""An embedder whose model reads a prefix ahead of each query and each passage."""

from collections.abc import Sequence

from knowledge.embedders import Embedder, Metered, Prefixes, Remote
from knowledge.vectors import Vectors


class PrefixedEmbedder:
    """Adds the prefixes on the way to `embedder`, which belongs to the caller: closing this one closes nothing."""

    def __init__(self, embedder: Embedder, prefixes: Prefixes) -> None:
        self._embedder = embedder
        self.prefixes = prefixes

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def remote(self) -> Remote | None:
        return self._embedder.remote

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return (await self.embed_metered(texts)).vectors

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        return await self._embedder.embed_metered([f"{self.prefixes.passage}{text}" for text in texts])

    async def embed_query(self, text: str) -> Vectors:
        return await self._embedder.embed_query(f"{self.prefixes.query}{text}")

    async def close(self) -> None:
        """There is nothing to give back."""
