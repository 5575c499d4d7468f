"""What the steps found out about a document, as its states carry it."""

import msgspec


class TextFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    text_blob: str
    parser: str
    pages: int
    characters: int
    language: str | None
    title: str | None
    warnings: tuple[str, ...]


class ChunkFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    chunks_blob: str
    chunks: int
    tokens: int
    chunker: str
    generation: int = 0


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Vectors of the chunks first to last (both included, from 0), and what they cost."""

    first_chunk: int
    last_chunk: int
    vectors_blob: str
    calls: int = 0
    tokens_sent: int = 0
    chunks_reused: int = 0
    tokens_by_provider: int = 0


class VectorFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the vectors were made by: texts that came later must be embedded the same way to be compared with them."""

    model: str
    dimensions: int
    tokens: int
    passage_prefix: str = ""
