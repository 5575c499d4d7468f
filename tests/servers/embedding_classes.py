"""Embedding classes as others write them for LlamaIndex: quick, blocking, over HTTP, and out of their minds.

It imports LlamaIndex (2.6 s): nobody imports it but the embedder that is told its path.
"""

import threading
from typing import Any, Final

import httpx
from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import Field

from knowledge.hash_embedder import HashEmbedder

DIMENSIONS: Final = 256


def _vector(text: str, dimensions: int) -> list[float]:
    counts: list[float] = HashEmbedder(dimensions=dimensions).counts(text).tolist()
    return counts


class Awaiting(BaseEmbedding):
    """Everything is awaited, a batch at a time; the ways that block must not be taken."""

    embed_dim: int = DIMENSIONS
    batches: list[list[str]] = Field(default_factory=list)

    def _get_query_embedding(self, query: str) -> list[float]:
        raise AssertionError("asked in the way that blocks")

    def _get_text_embedding(self, text: str) -> list[float]:
        raise AssertionError("asked in the way that blocks")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return _vector(query, self.embed_dim)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(list(texts))
        return [_vector(text, self.embed_dim) for text in texts]


class Blocking(BaseEmbedding):
    """Knows no `await`: what is asynchronous blocks all the same, as in most local models. Waits for `gate`."""

    embed_dim: int = DIMENSIONS

    def _get_query_embedding(self, query: str) -> list[float]:
        _GATE.wait(30)
        return _vector(query, self.embed_dim)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        raise AssertionError("asked text by text")

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        _GATE.wait(30)
        return [_vector(text, self.embed_dim) for text in texts]


_GATE: Final = threading.Event()
_GATE.set()


def shut(is_shut: bool) -> None:
    """Whether whoever asks `Blocking` has to wait."""
    if is_shut:
        _GATE.clear()
    else:
        _GATE.set()


class OverHttp(BaseEmbedding):
    """The client of an endpoint, which raises what its HTTP library raises."""

    api_base: str
    api_key: str
    call_s_max: float = 5.0
    wraps: bool = False

    async def _asked(self, texts: list[str]) -> list[list[float]]:
        async with httpx.AsyncClient(timeout=self.call_s_max, trust_env=False) as client:
            response = await client.post(
                f"{self.api_base}/embeddings",
                json={"model": self.model_name, "input": texts},
                headers={"Authorization": f"Bearer {self.api_key}"},
            )
        try:
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            if self.wraps:
                raise RuntimeError(f"{self.api_key} was refused") from error
            raise
        data = sorted(response.json()["data"], key=lambda one: one["index"])
        return [one["embedding"] for one in data]

    def _get_query_embedding(self, query: str) -> list[float]:
        raise AssertionError("asked in the way that blocks")

    def _get_text_embedding(self, text: str) -> list[float]:
        raise AssertionError("asked in the way that blocks")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._asked([query]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._asked(texts)


class Mad(Awaiting):
    """Answers with `answer` whatever it is asked, or raises the error of that name with `message`."""

    answer: Any = None
    error: str = ""
    message: str = "no"

    async def _aget_text_embeddings(self, texts: list[str]) -> Any:
        if self.error:
            kinds = {"ReadTimeout": httpx.ReadTimeout, "ConnectError": httpx.ConnectError}
            known: Any = kinds.get(self.error) or __builtins__[self.error]  # type: ignore[index]
            raise known(self.message)
        return self.answer


class Refusing(Awaiting):
    """Cannot be made without a key."""

    def __init__(self, api_key: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        raise ValueError(f"the key {api_key!r} is not one")


class NoEmbedding:
    """Nothing to do with LlamaIndex."""
