"""Embeddings over HTTP from anything that speaks OpenAI's protocol: SiliconFlow, Ollama, vLLM, OpenAI.

SiliconFlow: base URL `https://api.siliconflow.cn/v1`, model `BAAI/bge-m3` (1,024 dimensions, English and Chinese).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from knowledge.embedders import NO_PREFIXES, Metered, Remote
from knowledge.errors import EmbeddingError, ProviderError
from knowledge.provider_faults import REJECTED, TOO_LARGE
from knowledge.provider_http import ProviderHttp
from knowledge.vectors import Vectors, unit_vectors

BATCH_TEXTS_DEFAULT = 32  # 1 to 2,048; SiliconFlow takes 32 at most
TIMEOUT_S_DEFAULT = 60.0  # for one batch, from connecting to the last byte
RESPONSE_BYTES_MAX = 64 * 1024 * 1024
# What one number of an answer may take: 24 bytes are the most that it needs, indented answers take twice as much. A cap
# that follows from the question keeps an endless answer small: 8 MiB of JSON numbers already take 60 MB once decoded.
_NUMBER_BYTES_MAX = 128
_RESPONSE_BYTES_MIN = 1024 * 1024

_TOKENS_MAX: Final = 1_000_000_000
"""A count beyond is no count: events and their sums stay integers that every reader holds."""


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: Any = None
    """Taken as it comes: vectors that were paid for are not thrown away for a strange bill."""


_decoder = msgspec.json.Decoder(_Answer)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpenAIEmbedder:
    """`POST {base_url}/embeddings`, `batch_texts` texts at a time, one batch after the other.

    The key is sent in one header and appears nowhere else: not in `repr`, not in an error. Raises ValueError where
    `base_url` is no http or https address.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        model: str,
        dimensions: int,
        batch_texts: int = BATCH_TEXTS_DEFAULT,
        timeout_s: float = TIMEOUT_S_DEFAULT,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.model = model
        self.dimensions = dimensions
        self.prefixes = NO_PREFIXES
        url = f"{base_url.rstrip('/')}/embeddings"
        self._http = ProviderHttp(url, api_key=api_key, call_s_max=timeout_s, clock=clock)
        self.remote: Remote | None = Remote(f"{url}#{model}", batch_texts)
        self._batch_texts = batch_texts
        self._response_bytes_max = response_bytes_max

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(model={self.model!r}, dimensions={self.dimensions}, http={self._http!r})"

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return (await self.embed_metered(texts)).vectors

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        batches = [
            await self._embed_batch(texts[first : first + self._batch_texts])
            for first in range(0, len(texts), self._batch_texts)
        ]
        if not batches:
            return Metered(np.zeros((0, self.dimensions), dtype=np.float32), 0)
        tokens = [batch.tokens for batch in batches if batch.tokens is not None]
        vectors = np.concatenate([batch.vectors for batch in batches])
        return Metered(vectors, sum(tokens) if len(tokens) == len(batches) else None)

    async def embed_query(self, text: str) -> Vectors:
        vector: Vectors = (await self._embed_batch([text])).vectors[0]
        return vector

    async def close(self) -> None:
        await self._http.close()

    async def _embed_batch(self, texts: Sequence[str]) -> Metered:
        # An empty input is answered with 400 for the whole batch.
        body = {"model": self.model, "input": [text or " " for text in texts], "encoding_format": "float"}
        try:
            content = await self._http.post(body, answer_bytes_max=self._response_bytes_of(len(texts)))
        except ProviderError as error:
            raise _of_embedding(error) from error
        try:
            answer = _decoder.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EmbeddingError("provider_answer", f"the answer is not a list of embeddings: {error}") from error
        vectors = unit_vectors(_in_order(answer, len(texts)), rows=len(texts), dimensions=self.dimensions)
        return Metered(vectors, _tokens_of(answer.usage))

    def _response_bytes_of(self, texts: int) -> int:
        """How many bytes an answer to so many texts may have."""
        expected = max(_RESPONSE_BYTES_MIN, texts * self.dimensions * _NUMBER_BYTES_MAX)
        return min(expected, self._response_bytes_max)


def _of_embedding(error: ProviderError) -> EmbeddingError:
    code = REJECTED if error.is_permanent and error.code != TOO_LARGE else error.code
    return EmbeddingError(code, error.message, retry_after_s=error.retry_after_s, is_permanent=error.is_permanent)


def _tokens_of(usage: Any) -> int | None:
    """What was billed; None where the provider does not say, or says nothing that can be a count."""
    if not isinstance(usage, dict):
        return None
    counts = (usage.get(name) for name in ("total_tokens", "prompt_tokens"))
    return next((count for count in counts if type(count) is int and 0 < count <= _TOKENS_MAX), None)


def _in_order(answer: _Answer, count: int) -> list[list[float]]:
    """The vectors by their `index`: providers may answer in any order, and some repeat or leave out one."""
    by_index = {item.index: item.embedding for item in answer.data}
    if len(answer.data) != count or by_index.keys() != set(range(count)):
        raise EmbeddingError("wrong_count", f"{count} texts were sent, {len(answer.data)} vectors came back")
    return [by_index[index] for index in range(count)]
