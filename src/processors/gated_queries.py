"""Vectors of queries, for whom a person waits: behind the gate that all processes share, ahead of documents."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from knowledge.embedders import Embedding, QueryEmbedder
from knowledge.vectors import Vectors
from processors.embedder_for import EmbedderFor
from processors.provider import Priority, ProviderGate
from processors.provider_calls import ProviderCalls

WAITING_SHARE: Final = 0.5
"""Of the time for a query: what is left over must do for the call itself."""


class GatedQueries:
    """`query_s_max` is for a provider's answer with the waiting for its turn; a model in this process has no limit."""

    def __init__(
        self,
        embedder_for: EmbedderFor,
        gate: ProviderGate,
        *,
        query_s_max: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._embedder_for = embedder_for
        self._gate = gate
        self._query_s_max = query_s_max
        self._sleep = sleep

    def by(self, embedding: Embedding) -> QueryEmbedder:
        """Raises EmbeddingError for one that cannot be made."""
        wait_s_max = WAITING_SHARE * self._query_s_max
        return _Query(
            ProviderCalls(
                self._embedder_for(embedding),
                self._gate,
                sleep=self._sleep,
                texts_max=1,
                priority=Priority.INTERACTIVE,
                wait_s_max=wait_s_max,
                call_s_max=self._query_s_max - wait_s_max,
            )
        )


class _Query:
    def __init__(self, calls: ProviderCalls) -> None:
        self._calls = calls

    async def embed_query(self, text: str) -> Vectors:
        return await self._calls.embed_query(text)
