"""Any embedding class of LlamaIndex, by import path: `llamaindex:package.module.ClassName`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, TypeVar

import numpy as np

from knowledge.embedders import LLAMAINDEX_PREFIX, NO_PREFIXES, Metered, Remote
from knowledge.errors import EmbeddingError
from knowledge.llama_faults import embedding_error_of
from knowledge.loop_thread import LoopThread
from knowledge.vectors import Vectors, unit_vectors

T = TypeVar("T")

CALL_S_DEFAULT: Final = 60.0
BATCH_TEXTS_DEFAULT: Final = 10
"""LlamaIndex's own `embed_batch_size`, until the instance says another."""
NOT_CONFIGURED: Final = "embedding_not_configured"
_MODULE: Final = "knowledge.llama_class"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LlamaEmbedder:
    """The class is imported and made by `load`, or by the first text, in a thread with a loop of its own: many classes
    block in their asynchronous methods, and there they block nobody else. Calls have `embed_batch_size` texts.

    Which provider the class calls, if any, is not known: all calls of one name share a gate. Raises ValueError for a
    name without a class.
    """

    def __init__(
        self,
        name: str,
        *,
        arguments: Mapping[str, Any],
        dimensions: int,
        call_s_max: float = CALL_S_DEFAULT,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.model = name
        self.dimensions = dimensions
        self.prefixes = NO_PREFIXES
        self.path = name.removeprefix(LLAMAINDEX_PREFIX).partition("#")[0]
        if not all(part.isidentifier() for part in self.path.split(".")) or "." not in self.path:
            raise ValueError(f"{self.path!r} is no import path: write it like package.module.ClassName")
        self._arguments = arguments
        self._call_s_max = call_s_max
        self._clock = clock
        self._thread = LoopThread("llamaindex-embedding")
        self._loading = asyncio.Lock()
        self._instance: Any = None
        self._awaits_batches = False

    def __repr__(self) -> str:
        return f"LlamaEmbedder(model={self.model!r}, dimensions={self.dimensions})"

    @property
    def remote(self) -> Remote | None:
        return Remote(self.model, self._batch_texts)

    async def load(self) -> None:
        """Raises EmbeddingError(embedding_not_configured) that says what is wrong with the class or its arguments."""
        async with self._loading:
            if self._instance is not None:
                return
            try:
                self._instance, self._awaits_batches = await self._thread.run(self._made)
            except ValueError as error:
                raise EmbeddingError(NOT_CONFIGURED, str(error)) from error

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return (await self.embed_metered(texts)).vectors

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        await self.load()
        inputs = [_encodable(text) for text in texts]
        size = self._batch_texts
        parts = [await self._batch(inputs[first : first + size]) for first in range(0, len(inputs), size)]
        return Metered(np.concatenate(parts) if parts else np.zeros((0, self.dimensions), dtype=np.float32))

    async def embed_query(self, text: str) -> Vectors:
        await self.load()
        values = await self._called(lambda: self._instance.aget_query_embedding(_encodable(text)))
        vector: Vectors = unit_vectors([values], rows=1, dimensions=self.dimensions)[0]
        return vector

    async def close(self) -> None:
        await self._thread.close()

    @property
    def _batch_texts(self) -> int:
        size = self._arguments.get("embed_batch_size") if self._instance is None else self._instance.embed_batch_size
        return size if type(size) is int and size > 0 else BATCH_TEXTS_DEFAULT

    async def _made(self) -> tuple[Any, bool]:
        # Blocks this thread alone; an import of LlamaIndex takes seconds, a model's files may take longer.
        module = import_module(_MODULE)
        instance = module.made(self.path, self._arguments)
        return instance, module.awaits_batches(instance)

    async def _batch(self, texts: list[str]) -> Vectors:
        async def synchronously() -> Any:
            return self._instance.get_text_embedding_batch(texts)

        if self._awaits_batches:
            values = await self._called(lambda: self._instance.aget_text_embedding_batch(texts))
        else:
            values = await self._called(synchronously)
        return unit_vectors(values, rows=len(texts), dimensions=self.dimensions)

    async def _called(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._call_s_max):
                return await self._thread.run(call)
        except TimeoutError as error:
            raise EmbeddingError("provider_timeout", f"no answer within {self._call_s_max:g} s") from error
        except Exception as error:  # whatever a class of others raises
            raise embedding_error_of(error, self._arguments, self._clock()) from error


def _encodable(text: str) -> str:
    """Lone surrogates cannot be sent, NULs end a text early, and an empty one has no vector."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8") or " "
