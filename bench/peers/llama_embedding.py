"""Our local embedder as LlamaIndex wants one, so that its pipeline embeds with the same model."""

import asyncio
from typing import Any

from llama_index.core.embeddings import BaseEmbedding
from pydantic import PrivateAttr

from knowledge.embedders import LLAMAINDEX_PREFIX, make_embedder


class OwnEmbedding(BaseEmbedding):
    """In batches of 64, as ours."""

    _embedder: Any = PrivateAttr()
    _runner: Any = PrivateAttr()

    def __init__(self, model: str) -> None:
        super().__init__(model_name=model, embed_batch_size=64)
        self._embedder = make_embedder(model)
        self._runner = asyncio.Runner()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._runner.run(self._embedder.embed_passages(texts)).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def embedding_of(model: str) -> BaseEmbedding:
    """The class that a model of Millstream stands for."""
    if model.startswith(LLAMAINDEX_PREFIX):
        from bench.peers.wordllama_embedding import WordLlamaEmbedding

        return WordLlamaEmbedding()
    return OwnEmbedding(model)
