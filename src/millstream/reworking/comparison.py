"""What cutting documents again would change: their stored text is cut as it would be, and nothing is kept of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from domain.deciders import knowledge_base_decider
from domain.errors import Refused
from domain.handle import load
from domain.knowledge_base import ActiveKnowledgeBase, active
from domain.status import DocumentStatus
from events.ids import KnowledgeBaseId
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from events.log import EventLog
from ingest.own_chunking import OwnChunking
from ingest.problems import Rejected
from knowledge.chunk import Chunk, indexed_text
from knowledge.chunkers import Chunker
from knowledge.errors import EmbeddingError, ParseError
from knowledge.index import Index, IndexTable, vector_key_of
from knowledge.text import ParsedText
from millstream.reading.shown import ShownChunk
from millstream.reading.stored import StoredDocuments
from processors.embedder_for import EmbedderFor, embedding_of

DOCUMENTS_COMPARED_MAX: Final = 100
CHARACTERS_COMPARED_MAX: Final = 1_000_000
"""Of all of them together: about two seconds of cutting, in a thread."""

CHUNKS_MAX: Final = 100_000


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Chunks before and after, of the documents that were compared: searchable ones, the newest first, until there are
    100 of them or a million characters. `is_complete`: those are all that would be begun again.

    A chunk is kept where its id is, and with it what persons changed of it; `edits_lost` are changes that it would not.
    Of the chunks after, `vectors_reused` have their vectors in the index, and `chunks_embedded` (with
    `tokens_embedded`, estimated) are paid for.
    """

    documents: int
    is_complete: bool
    chunks_before: int
    chunks_after: int
    chunks_kept: int
    chunks_added: int
    chunks_removed: int
    vectors_reused: int
    chunks_embedded: int
    tokens_embedded: int
    edits_lost: int


class Comparison:
    """Raises IndexUnavailable, Refused, and what `until_ready` (the index can be asked), log and blob store raise."""

    def __init__(
        self,
        log: EventLog,
        documents: StoredDocuments,
        index: Index,
        chunker_for: Callable[[KnowledgeBaseSettings], Chunker],
        embedder_for: EmbedderFor,
        until_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._log = log
        self._documents = documents
        self._index = index
        self._chunker_for = chunker_for
        self._embedder_for = embedder_for
        self._until_ready = until_ready

    async def of(
        self, knowledge_base: KnowledgeBaseId, documents: Sequence[DocumentStatus], chunking: OwnChunking
    ) -> Compared:
        """As the text is stored: where parsing makes another one of it, that is not known here."""
        await self._until_ready()
        known = active((await load(self._log, knowledge_base_decider(knowledge_base), knowledge_base)).state)
        before: list[ShownChunk] = []
        after: list[Chunk] = []
        compared = 0
        for document in _compared(documents):
            settings = _settings(known, document, chunking)
            found = None if settings.chunker is ChunkerKind.SEMANTIC else await self._cut(document, settings)
            if found is not None:
                compared += 1
                before += found[0]
                after += found[1]
        embedded = await self._unknown(knowledge_base, known, after)
        ids, kept = {chunk.chunk_id for chunk in before}, {chunk.chunk_id for chunk in after}
        return Compared(
            documents=compared,
            is_complete=compared == len(documents),
            chunks_before=len(before),
            chunks_after=len(after),
            chunks_kept=len(ids & kept),
            chunks_added=len(kept - ids),
            chunks_removed=len(ids - kept),
            vectors_reused=len(after) - len(embedded),
            chunks_embedded=len(embedded),
            tokens_embedded=sum(chunk.tokens for chunk in embedded),
            edits_lost=sum(_is_edited(chunk) and chunk.chunk_id not in kept for chunk in before),
        )

    async def _cut(
        self, document: DocumentStatus, settings: KnowledgeBaseSettings
    ) -> tuple[Sequence[ShownChunk], Sequence[Chunk]] | None:
        """None for one of which there is nothing to cut, or whose text makes more chunks than a document may have."""
        named = document.knowledge_base_id, document.document_id
        try:
            text, before = await self._documents.text(*named), await self._documents.chunks(*named)
            return before, await asyncio.to_thread(self._chunks, text, settings, document.document_id)
        except (ParseError, Refused, Rejected):
            return None

    def _chunks(self, text: ParsedText, settings: KnowledgeBaseSettings, document_id: str) -> tuple[Chunk, ...]:
        return self._chunker_for(settings).chunk(text, document_id=document_id, chunks_max=CHUNKS_MAX, turns=())

    async def _unknown(
        self, knowledge_base: KnowledgeBaseId, known: ActiveKnowledgeBase, chunks: Sequence[Chunk]
    ) -> list[Chunk]:
        """Those whose vectors are not in the index; a text that comes twice is embedded once."""
        generation = known.generation_for(is_searchable=True)
        try:
            embedder = self._embedder_for(embedding_of(generation.settings))
        except EmbeddingError:
            return list(chunks)
        model, dimensions, ahead = embedder.model, embedder.dimensions, embedder.prefixes.passage
        wanted = {vector_key_of(model, dimensions, f"{ahead}{indexed_text(chunk)}"): chunk for chunk in chunks}
        there: set[str] = set()
        for number in dict.fromkeys((generation.number, known.generation)):
            found = await self._index.vectors(IndexTable(knowledge_base, number), wanted.keys() - there)
            there |= found.keys()
        return [chunk for key, chunk in wanted.items() if key not in there]


def _compared(documents: Sequence[DocumentStatus]) -> list[DocumentStatus]:
    chosen: list[DocumentStatus] = []
    characters = 0
    for document in documents:
        characters += document.counts.characters
        if len(chosen) == DOCUMENTS_COMPARED_MAX or characters > CHARACTERS_COMPARED_MAX:
            break
        if document.index_generation is not None:
            chosen.append(document)
    return chosen


def _settings(known: ActiveKnowledgeBase, document: DocumentStatus, chunking: OwnChunking) -> KnowledgeBaseSettings:
    """By which the document would be cut."""
    settings = known.generation_for(is_searchable=True).settings
    own = document.chunking if chunking is UNSET else chunking
    return settings if own is None else own.within(settings)


def _is_edited(chunk: ShownChunk) -> bool:
    return chunk.edited or not chunk.enabled
