"""The knowledge work of the simulation: tiny, and as unreliable as the weather says.

Each parse gives another text, so that what one attempt made is never mistaken for what another one did.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.errors import EmbeddingError, ParseError, ParseErrorCode
from knowledge.hash_embedder import HashEmbedder
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from knowledge.vectors import Vectors
from processors.sandbox import ParserCrashed
from tests.simulation.rows import DIMENSIONS
from tests.simulation.wire import Weather

BROKEN = b"broken"
"""A file that begins like this cannot be parsed."""

HANG_S = 30.0
"""Longer than any time limit of the simulation."""


class SimulatedParser:
    """TextParser."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    async def parse(
        self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
    ) -> ParsedText:
        data = b"".join([piece async for piece in pieces])
        assert len(data) == size_bytes
        climate = self._weather.climate
        await asyncio.sleep(self._weather.work_s())
        if data.startswith(BROKEN):
            raise ParseError(ParseErrorCode.PARSE_FAILED, "this file is broken")
        if self._weather.happens(climate.parser_hangs):
            await asyncio.sleep(HANG_S)
        if self._weather.happens(climate.parser_crashes):
            raise ParserCrashed("the child died")
        salt = self._weather.rng.randrange(1_000_000)
        return ParsedText(text=f"{data.decode()} | parse {salt}", parser="simulated")


class SimulatedChunker:
    """Chunker: cuts at bars."""

    name = "bars"

    def chunk(
        self, text: ParsedText, *, document_id: str, chunks_max: int, turns: Sequence[int] = ()
    ) -> tuple[Chunk, ...]:
        assert not turns
        texts = [part.strip() for part in text.text.split("|")]
        assert len(texts) <= chunks_max
        ids = chunk_ids(document_id, texts)
        return tuple(
            Chunk(chunk_id, ordinal, part, 0, len(part), None, (), count_tokens(part))
            for ordinal, (chunk_id, part) in enumerate(zip(ids, texts, strict=True))
        )


class SimulatedEmbedder(HashEmbedder):
    """Embedder behind a provider."""

    def __init__(self, weather: Weather) -> None:
        super().__init__(dimensions=DIMENSIONS)
        self._weather = weather

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        weather = self._weather
        await asyncio.sleep(weather.work_s())
        if weather.happens(weather.climate.provider_fails):
            code = weather.rng.choice(("provider_429", "provider_503", "provider_500", "provider_unreachable"))
            raise EmbeddingError(code, "try later", retry_after_s=weather.rng.choice((None, 0.5)))
        if weather.happens(weather.climate.provider_refuses):
            raise EmbeddingError("embedding_rejected", "never", is_permanent=True)
        return await super().embed_passages(texts)
