"""How a text would be cut by given settings; nothing is stored."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from domain.deciders import knowledge_base_decider
from domain.handle import load
from domain.knowledge_base import active
from events.ids import KnowledgeBaseId, parse_document_id
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from ingest.knowledge_bases import merged_settings
from ingest.problems import invalid
from ingest.services import IngestServices
from knowledge import semantic
from knowledge.chunk import Chunk, indexed_text
from knowledge.chunkers import BREAKPOINT_PERCENTILE_DEFAULT, Chunker
from knowledge.cleaning import clean
from knowledge.errors import EmbeddingError, ParseError
from knowledge.markdown import outline
from knowledge.text import ParsedText, TextFormat
from knowledge.vectors import Vectors
from millstream.reading.stored import StoredDocuments
from processors.embedder_for import EmbedderFor, embedding_of
from processors.provider import Priority, ProviderGate
from processors.provider_calls import ProviderCalls

TEXT_CHARS_MAX: Final = 200_000
CHUNKS_MAX: Final = 100_000
SHOWN_MAX: Final = 1_000
EMBEDDED_TOGETHER_MAX: Final = 64
EMBEDDED_S_MAX: Final = 60.0
"""For the sentences of one preview, 2,000 at most; who asked is told to come back."""
COUNTED_BY: Final = "estimate"
"""The tokenizers of models are mostly not here; docs/chunking.md has the rule."""


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text (Markdown, if anything) or a document of the knowledge base, and the settings to try: what is not given of
    them is as the document, or its knowledge base, is cut now."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)] | UnsetType = UNSET
    document_id: str | UnsetType = UNSET
    settings: dict[str, Any] = {}
    limit: Annotated[int, Meta(ge=1, le=SHOWN_MAX)] = 100


class PreviewedChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk: its place in the text in characters, what is indexed with it, and what is answered in its place."""

    ordinal: int
    text: str
    span: tuple[int, int]
    tokens: int
    page: int | None
    headings: tuple[str, ...]
    indexed_text: str
    parent_text: str


class ChunkPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The first chunks, and figures about all. `counted_by` says whose tokens these are."""

    chunker: str
    counted_by: str
    characters: int
    total: int
    tokens: int
    tokens_min: int
    tokens_max: int
    chunks: tuple[PreviewedChunk, ...]


class Previews:
    """Cuts as the chunk step would."""

    def __init__(
        self,
        services: IngestServices,
        documents: StoredDocuments,
        chunker_for: Callable[[KnowledgeBaseSettings], Chunker],
        embedder_for: EmbedderFor,
        gate: ProviderGate,
    ) -> None:
        self._services = services
        self._documents = documents
        self._chunker_for = chunker_for
        self._embedder_for = embedder_for
        self._gate = gate

    async def preview(self, knowledge_base: KnowledgeBaseId, body: PreviewBody) -> ChunkPreview:
        """Raises Rejected, Refused, EmbeddingError and what reading a document raises."""
        known = await load(self._services.log, knowledge_base_decider(knowledge_base), knowledge_base)
        present = active(known.state).settings
        if isinstance(body.text, str) == isinstance(body.document_id, str):
            raise invalid("", "must have either text or document_id")
        if isinstance(body.document_id, str):
            own = await self._documents.chunking(knowledge_base, parse_document_id(body.document_id))
            present = present if own is None else own.within(present)
        settings = merged_settings(self._services, present, body.settings)
        text = await self._text(knowledge_base, body)
        turns = await self._turns(text, settings) if settings.chunker is ChunkerKind.SEMANTIC else []
        try:
            name, chunks = await asyncio.to_thread(self._cut, text, settings, turns)
        except ParseError as error:
            raise invalid("/settings/chunk_tokens", error.message) from error
        return _shown(name, text, chunks, body.limit)

    async def _text(self, knowledge_base: KnowledgeBaseId, body: PreviewBody) -> ParsedText:
        if isinstance(body.document_id, str):
            return await self._documents.text(knowledge_base, parse_document_id(body.document_id))
        text = clean(str(body.text))
        headings, tables = outline(text)
        return ParsedText(text=text, headings=headings, tables=tables, format=TextFormat.MARKDOWN)

    async def _turns(self, text: ParsedText, settings: KnowledgeBaseSettings) -> list[int]:
        compared = await asyncio.to_thread(semantic.pieces, text)
        if not compared:
            return []
        try:
            async with asyncio.timeout(EMBEDDED_S_MAX):
                vectors = await self._vectors(compared, settings)
        except TimeoutError:
            message = f"the sentences were not embedded within {EMBEDDED_S_MAX:g} s"
            raise EmbeddingError("provider_timeout", message) from None
        percentile = settings.chunk_breakpoint_percentile or BREAKPOINT_PERCENTILE_DEFAULT
        return semantic.turns(compared, vectors, percentile)

    async def _vectors(self, compared: Sequence[Chunk], settings: KnowledgeBaseSettings) -> Vectors:
        """As the chunk step makes them, but for a person who waits."""
        calls = ProviderCalls(
            self._embedder_for(embedding_of(settings)),
            self._gate,
            sleep=asyncio.sleep,
            texts_max=EMBEDDED_TOGETHER_MAX,
            priority=Priority.INTERACTIVE,
        )
        vectors: list[Vectors] = []
        done = 0
        while done < len(compared):
            vectors.append(await calls.embed(compared[done : done + calls.texts_max]))
            done += len(vectors[-1])
        return np.concatenate(vectors)

    def _cut(
        self, text: ParsedText, settings: KnowledgeBaseSettings, turns: Sequence[int]
    ) -> tuple[str, tuple[Chunk, ...]]:
        chunker = self._chunker_for(settings)
        return chunker.name, chunker.chunk(text, document_id="", chunks_max=CHUNKS_MAX, turns=turns)


def _shown(name: str, text: ParsedText, chunks: Sequence[Chunk], limit: int) -> ChunkPreview:
    sizes = [chunk.tokens for chunk in chunks] or [0]
    return ChunkPreview(
        chunker=name,
        counted_by=COUNTED_BY,
        characters=len(text.text),
        total=len(chunks),
        tokens=sum(sizes),
        tokens_min=min(sizes),
        tokens_max=max(sizes),
        chunks=tuple(
            PreviewedChunk(
                ordinal=chunk.ordinal,
                text=chunk.text,
                span=(chunk.start, chunk.end),
                tokens=chunk.tokens,
                page=chunk.page,
                headings=chunk.headings,
                indexed_text=indexed_text(chunk),
                parent_text=chunk.context,
            )
            for chunk in chunks[:limit]
        ),
    )
