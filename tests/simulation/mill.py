"""The knowledge work of the simulation: tiny, and as unreliable as the weather says.

Each parse gives another text, so that what one attempt made is never mistaken for what another one did.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from domain.origin import Origin
from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.errors import EmbeddingError, ParseError, ParseErrorCode
from knowledge.hash_embedder import HashEmbedder
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from knowledge.vectors import Vectors
from processors.origins import Incoming, OriginFails, OriginRefuses
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


class SimulatedOrigins:
    """Origins whose keys are the bytes that lie there, in hex."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    @asynccontextmanager
    async def open(self, origin: Origin) -> AsyncIterator[Incoming]:
        assert origin.object_key is not None
        weather, climate = self._weather, self._weather.climate
        await asyncio.sleep(weather.work_s())
        if weather.happens(climate.origin_fails):
            raise OriginFails("fetch_failed", "try later", weather.rng.choice((None, 0.5)))
        if weather.happens(climate.origin_refuses):
            raise OriginRefuses("fetch_failed", "never")
        yield Incoming(pieces=self._pieces(bytes.fromhex(origin.object_key)))

    async def close(self) -> None:
        """Nothing is held."""

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 16):
            if self._weather.happens(self._weather.climate.origin_hangs):
                await asyncio.sleep(HANG_S)
            await asyncio.sleep(self._weather.latency_s())
            yield data[start : start + 16]


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
