"""The calls of one embedding step: admitted by the gate, judged, repeated once where an answer was garbage, halved
where they were too large.

Errors leave as EmbeddingError. Codes that this file adds: those of `WaitReason` where waiting within the slot would
take too long, `embedding_invalid`, `dimensions_changed` and `chunk_too_large`, which ask for a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import numpy as np
import structlog

from events.errors import LogError
from knowledge.chunk import Chunk, count_tokens, indexed_text
from knowledge.embedders import Embedder, Remote
from knowledge.errors import EmbeddingError
from knowledge.vectors import Vectors
from processors.provider import Go, Priority, ProviderGate, Verdict, Wait

T = TypeVar("T")

WAIT_S_MAX: Final = 30.0
"""How long a call waits in its slot before the step is put off. Slots that wait hold the rest of the queue back;
putting each document off instead would write two events for each of them every few seconds."""

WAIT_S_MIN: Final = 0.01

TOO_LARGE: Final = "provider_413"
TOO_MANY: Final = "provider_429"
INVALID: Final = frozenset({"provider_answer", "wrong_count", "wrong_dimensions", "not_finite", "zero_vector"})
"""An answer came, and its vectors would make every later search silently wrong."""

_MESSAGES: Final = {
    "provider_limited": "the limit of calls or tokens a minute is used up",
    "provider_busy": "the embedding provider asked for a pause",
    "provider_down": "the embedding provider failed several times in a row; it is tried a little at a time",
}


class ProviderCalls:
    """Counts what it does. `texts_max` shrinks where the provider takes less than it said.

    A call waits `wait_s_max` for its turn, and for its answer `call_s_max`, or as long as the settings allow documents.
    """

    def __init__(
        self,
        embedder: Embedder,
        gate: ProviderGate,
        *,
        sleep: Callable[[float], Awaitable[None]],
        texts_max: int,
        priority: Priority = Priority.BULK,
        wait_s_max: float = WAIT_S_MAX,
        call_s_max: float | None = None,
    ) -> None:
        self._embedder = embedder
        self._gate = gate
        self._sleep = sleep
        self._priority = priority
        self._wait_s_max = wait_s_max
        self._call_s_max = call_s_max
        remote = embedder.remote
        self.texts_max = texts_max if remote is None else min(texts_max, remote.texts_max)
        self.calls = 0
        self.tokens_sent = 0
        self.tokens_by_provider = 0
        """Of those sent, what the provider counted itself; the rest is estimated."""

    async def embed(self, chunks: Sequence[Chunk]) -> Vectors:
        """(len(chunks), dimensions), one call where the provider takes them together; at least one chunk."""
        try:
            return await self._valid(chunks)
        except EmbeddingError as error:
            if error.code != TOO_LARGE:
                raise
            if len(chunks) == 1:
                message = f"{_named(chunks[0])} has {len(chunks[0].text):,} characters; the provider takes fewer"
                raise EmbeddingError("chunk_too_large", message, is_permanent=True) from error
            self.texts_max = min(self.texts_max, (len(chunks) + 1) // 2)
        return await self._halved(chunks)

    async def embed_query(self, text: str) -> Vectors:
        """(dimensions,), judged and asked for once more as passages are."""
        tokens = count_tokens(f"{self._embedder.prefixes.query}{text}")

        async def call() -> Vectors:
            return await self._embedder.embed_query(text)

        try:
            return await self._admitted_call(tokens, call)
        except EmbeddingError as error:
            if error.code not in INVALID or error.is_permanent:
                raise
        return await self._admitted_call(tokens, call)

    async def _halved(self, chunks: Sequence[Chunk]) -> Vectors:
        """Two or more chunks that are too large together.

        Where one chunk is, the other half is not asked for as a whole once this half went through: the chunk is found
        in at most log2(n) + 1 further calls, all of them but its own with vectors that are kept.
        """
        middle = (len(chunks) + 1) // 2
        first, rest = chunks[:middle], chunks[middle:]
        made = self.calls
        vectors = await self.embed(first)
        is_suspect = self.calls == made + 1 and len(rest) > 1
        others = await (self._halved(rest) if is_suspect else self.embed(rest))
        both: Vectors = np.concatenate([vectors, others])
        return both

    async def _valid(self, chunks: Sequence[Chunk]) -> Vectors:
        try:
            return await self._call(chunks)
        except EmbeddingError as error:
            if error.code == "wrong_dimensions" and error.is_permanent:
                raise EmbeddingError("dimensions_changed", error.message, is_permanent=True) from error
            if error.code not in INVALID:
                raise
        try:
            return await self._call(chunks)
        except EmbeddingError as error:
            if error.code not in INVALID:
                raise
            about = "" if error.place is None else f"{_named(chunks[error.place])}: "
            raise EmbeddingError("embedding_invalid", f"{about}{error.message}", is_permanent=True) from error

    async def _call(self, chunks: Sequence[Chunk]) -> Vectors:
        texts = [indexed_text(chunk) for chunk in chunks]
        tokens = sum(_tokens_of(chunk, text) for chunk, text in zip(chunks, texts, strict=True))
        tokens += len(texts) * count_tokens(self._embedder.prefixes.passage)
        metered = await self._admitted_call(tokens, lambda: self._embedder.embed_metered(texts))
        if metered.tokens is not None:
            self.tokens_sent += metered.tokens - tokens
            self.tokens_by_provider += metered.tokens
        return metered.vectors

    async def _admitted_call(self, tokens: int, call: Callable[[], Awaitable[T]]) -> T:
        """The answer of one call, made again where the provider refused it for a short while."""
        remote = self._embedder.remote
        if remote is None:
            self._count(tokens)
            return await call()
        waited_s = 0.0
        while True:
            admitted, waited_s = await self._admitted(remote, tokens, waited_s)
            self._count(tokens)
            try:
                answer = await self._in_time(call)
            except EmbeddingError as error:
                if error.is_permanent and error.code != TOO_LARGE:
                    # A key, a model, a plan: mended by a person, and every document will fail until then.
                    structlog.get_logger().error("provider_refuses", code=error.code, reason=error.message)
                await self._report(remote, _verdict_on(error), error.retry_after_s)
                if error.code != TOO_MANY:
                    raise
            else:
                if not admitted.is_clean:
                    await self._report(remote, Verdict.SUCCEEDED)
                return answer

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._call_s_max):
                return await call()
        except TimeoutError:
            raise EmbeddingError("provider_timeout", f"no answer within {self._call_s_max:g} s") from None

    async def _admitted(self, remote: Remote, tokens: int, waited_s: float) -> tuple[Go, float]:
        """The admission, and how long this call has waited altogether."""
        while isinstance(answer := await self._admit(remote, tokens), Wait):
            if waited_s + answer.seconds > self._wait_s_max:
                raise EmbeddingError(answer.reason.value, _MESSAGES[answer.reason], retry_after_s=answer.seconds)
            pause_s = max(answer.seconds, WAIT_S_MIN)
            await self._sleep(pause_s)
            waited_s += pause_s
        return answer, waited_s

    async def _admit(self, remote: Remote, tokens: int) -> Go | Wait:
        return await self._gate.admit(remote.name, tokens=tokens, priority=self._priority)

    async def _report(self, remote: Remote, verdict: Verdict, retry_after_s: float | None = None) -> None:
        try:
            await self._gate.report(remote.name, verdict, retry_after_s=retry_after_s)
        except LogError as error:
            # The vectors that were paid for, or the error, matter more; the next call finds out the same.
            structlog.get_logger().warning("verdict_not_noted", verdict=verdict.value, error=type(error).__name__)

    def _count(self, tokens: int) -> None:
        self.calls += 1
        self.tokens_sent += tokens


def _tokens_of(chunk: Chunk, text: str) -> int:
    """Counting takes 40 µs a chunk, and was done when it was cut: only what stands above it in `text` makes it more."""
    return chunk.tokens if text == chunk.text else count_tokens(text)


def _verdict_on(error: EmbeddingError) -> Verdict:
    """A provider that refuses a text or a key for good is there and well."""
    if error.code == TOO_MANY:
        return Verdict.REFUSED
    return Verdict.SUCCEEDED if error.is_permanent else Verdict.FAILED


def _named(chunk: Chunk) -> str:
    page = "" if chunk.page is None else f" on page {chunk.page}"
    return f"chunk {chunk.ordinal}{page} (id {chunk.chunk_id})"
