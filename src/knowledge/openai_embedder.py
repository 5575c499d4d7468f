"""Embeddings over HTTP from anything that speaks OpenAI's protocol: SiliconFlow, Ollama, vLLM, OpenAI.

SiliconFlow: base URL `https://api.siliconflow.cn/v1`, model `BAAI/bge-m3` (1,024 dimensions, English and Chinese).
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec
import numpy as np

from knowledge.embedders import Remote
from knowledge.errors import EmbeddingError
from knowledge.vectors import Vectors, unit_vectors

BATCH_TEXTS_DEFAULT = 32  # 1 to 2,048; SiliconFlow takes 32 at most
TIMEOUT_S_DEFAULT = 60.0  # for one batch, from connecting to the last byte
RESPONSE_BYTES_MAX = 64 * 1024 * 1024
# What one number of an answer may take: 24 bytes are the most that it needs, indented answers take twice as much. A cap
# that follows from the question keeps an endless answer small: 8 MiB of JSON numbers already take 60 MB once decoded.
_NUMBER_BYTES_MAX = 128
_RESPONSE_BYTES_MIN = 1024 * 1024
RETRY_AFTER_S_MAX = 3_600.0
_DETAIL_CHARS_MAX = 200
_REFUSAL_BYTES_MAX = 64 * 1024
_PORT_MAX = 65_535

REJECTED = "embedding_rejected"  # asked again, the provider would say no again: a key, a model, a text it does not take
TOO_LARGE = "provider_413"  # fewer texts at a time may do

# Statuses that say "later", besides all 5xx: request timeout, conflict, too early, too many requests.
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


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
        _check_address(base_url)
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self.remote: Remote | None = Remote(f"{self._url}#{model}", batch_texts)
        self._api_key = api_key
        self._batch_texts = batch_texts
        self._timeout_s = timeout_s
        self._response_bytes_max = response_bytes_max
        self._clock = clock
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_s, follow_redirects=False)

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(url={self._url!r}, model={self.model!r}, dimensions={self.dimensions})"

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        batches = [
            await self._embed_batch(texts[first : first + self._batch_texts])
            for first in range(0, len(texts), self._batch_texts)
        ]
        return np.concatenate(batches) if batches else np.zeros((0, self.dimensions), dtype=np.float32)

    async def embed_query(self, text: str) -> Vectors:
        vector: Vectors = (await self._embed_batch([text]))[0]
        return vector

    async def close(self) -> None:
        await self._client.aclose()

    async def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        # An empty input is answered with 400 for the whole batch; lone surrogates cannot be written as JSON.
        inputs = [text.encode("utf-8", "replace").decode("utf-8") or " " for text in texts]
        body = {"model": self.model, "input": inputs, "encoding_format": "float"}
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._post(msgspec.json.encode(body), self._response_bytes_of(len(texts)))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise EmbeddingError("provider_timeout", f"no answer within {self._timeout_s:g} s") from error
        except httpx.DecodingError as error:
            raise EmbeddingError("provider_answer", f"the answer cannot be unpacked: {error}") from error
        except httpx.HTTPError as error:
            raise EmbeddingError("provider_unreachable", self._masked(str(error) or type(error).__name__)) from error
        return unit_vectors(_in_order(answer, len(texts)), rows=len(texts), dimensions=self.dimensions)

    def _response_bytes_of(self, texts: int) -> int:
        """How many bytes an answer to so many texts may have."""
        expected = max(_RESPONSE_BYTES_MIN, texts * self.dimensions * _NUMBER_BYTES_MAX)
        return min(expected, self._response_bytes_max)

    async def _post(self, body: bytes, response_bytes_max: int) -> _Answer:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            is_answer = response.status_code == httpx.codes.OK
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if is_answer and len(content) > response_bytes_max:
                    raise EmbeddingError("provider_answer", f"more than {response_bytes_max:,} bytes came back")
                if not is_answer and len(content) > _REFUSAL_BYTES_MAX:
                    break  # the status says it all
            if not is_answer:
                raise self._refused(response, bytes(content))
        try:
            return _decoder.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EmbeddingError("provider_answer", f"the answer is not a list of embeddings: {error}") from error

    def _refused(self, response: httpx.Response, content: bytes) -> EmbeddingError:
        status = response.status_code
        is_retryable = status in _RETRYABLE_STATUSES or status >= httpx.codes.INTERNAL_SERVER_ERROR
        detail = self._masked(content.decode("utf-8", "replace"))[:_DETAIL_CHARS_MAX]
        code = f"provider_{status}"
        return EmbeddingError(
            code if is_retryable or code == TOO_LARGE else REJECTED,
            f"the embedding provider answered {status}: {detail}",
            retry_after_s=self._retry_after_s(response.headers.get("Retry-After")) if is_retryable else None,
            is_permanent=not is_retryable,
        )

    def _masked(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text

    def _retry_after_s(self, header: str | None) -> float | None:
        """RFC 9110, 10.2.3: seconds or a date; None where absent or neither."""
        if header is None:
            return None
        if header.strip().isascii() and header.strip().isdigit():
            return min(float(header), RETRY_AFTER_S_MAX)
        try:
            when = parsedate_to_datetime(header)
        except (TypeError, ValueError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return min(max((when - self._clock()).total_seconds(), 0.0), RETRY_AFTER_S_MAX)


def _check_address(base_url: str) -> None:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"the base URL cannot be used: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) <= _PORT_MAX:
        raise ValueError("the base URL must be an http or https address")


def _in_order(answer: _Answer, count: int) -> list[list[float]]:
    """The vectors by their `index`: providers may answer in any order, and some repeat or leave out one."""
    by_index = {item.index: item.embedding for item in answer.data}
    if len(answer.data) != count or by_index.keys() != set(range(count)):
        raise EmbeddingError("wrong_count", f"{count} texts were sent, {len(answer.data)} vectors came back")
    return [by_index[index] for index in range(count)]
