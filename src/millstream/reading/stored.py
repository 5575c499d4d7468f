"""Reads what is stored of a document, and compares it with what the log says."""

from collections.abc import AsyncIterator

from blobs.errors import BlobMissing
from blobs.store import BlobStore
from domain.decider import fold_to_decide
from domain.deciders import DOCUMENT
from domain.document import About, DocumentState, Edit, record_of
from events.chunking import ChunkingSettings
from events.ids import DocumentId, KnowledgeBaseId
from events.log import EventLog
from ingest.problems import ProblemCode, Rejected
from knowledge.chunk import Chunk
from knowledge.errors import KnowledgeError
from knowledge.text import ParsedText
from millstream.reading.ranges import Part
from millstream.reading.shown import (
    Artifacts,
    ChunkRead,
    ShownChunk,
    artifacts_of,
    existing_in,
    facts_of,
    fetched_in,
    refuse_unreached,
    shown_chunk,
    with_neighbours,
)
from processors.failures import BlobCorrupt
from processors.parse import verified
from processors.stored import load, load_chunks


class StoredDocuments:
    """Raises Refused, Rejected (document_damaged), and what log and blob store raise."""

    def __init__(self, log: EventLog, blobs: BlobStore) -> None:
        self._log = log
        self._blobs = blobs

    async def about(self, knowledge_base: KnowledgeBaseId, document: DocumentId) -> About:
        """Of a document whose bytes are here: type, name, size and digest."""
        state, _ = await self._read(document)
        return fetched_in(knowledge_base, state)

    async def original(self, about: About, part: Part | None) -> AsyncIterator[bytes]:
        """The bytes. The whole ends with its last piece only where its digest is right: who reads it sees it end too
        early otherwise. A part is compared by nobody but its reader, who may know the digest of the whole."""
        try:
            info = await self._blobs.stat(about.source_blob)
            if info is None or info.size_bytes != about.size_bytes:
                raise _damaged()
            if part is not None:
                return self._blobs.read(about.source_blob, start=part.start, length=part.length)
            return await _begun(verified(self._blobs, about))
        except (BlobMissing, BlobCorrupt) as error:
            raise _damaged() from error

    async def text(self, knowledge_base: KnowledgeBaseId, document: DocumentId) -> ParsedText:
        """The text that was taken out of the document."""
        state, artifacts = await self._read(document)
        existing_in(knowledge_base, state)
        if artifacts.text is None:
            refuse_unreached(state, "its text")
        try:
            return ParsedText.decode(await load(self._blobs, artifacts.text.text_blob))
        except (BlobMissing, BlobCorrupt, KnowledgeError) as error:
            raise _damaged() from error

    async def chunking(self, knowledge_base: KnowledgeBaseId, document: DocumentId) -> ChunkingSettings | None:
        """How it is cut; None: as its knowledge base says."""
        state, _ = await self._read(document)
        existing_in(knowledge_base, state)
        return record_of(state).chunking  # type: ignore[arg-type]  # of what `existing_in` let through

    async def chunks(self, knowledge_base: KnowledgeBaseId, document: DocumentId) -> list[ShownChunk]:
        """All of them, in their order."""
        state, artifacts = await self._read(document)
        chunks = await self._chunks(knowledge_base, state, artifacts)
        edits = _edits_of(state)
        return [shown_chunk(document, chunk, edits.get(chunk.chunk_id)) for chunk in chunks]

    async def cut_chunk(self, knowledge_base: KnowledgeBaseId, document: DocumentId, chunk_id: str) -> Chunk:
        """As it was cut, whatever persons made of it. Raises Rejected (unknown_chunk) too."""
        for chunk in await self._chunks(knowledge_base, *await self._read(document)):
            if chunk.chunk_id == chunk_id:
                return chunk
        raise unknown_chunk()

    async def _chunks(
        self, knowledge_base: KnowledgeBaseId, state: DocumentState, artifacts: Artifacts
    ) -> tuple[Chunk, ...]:
        existing_in(knowledge_base, state)
        if artifacts.chunks is None:
            refuse_unreached(state, "its chunks")
        try:
            return await load_chunks(self._blobs, facts_of(artifacts.chunks))
        except (BlobMissing, BlobCorrupt) as error:
            raise _damaged() from error

    async def chunk(
        self, knowledge_base: KnowledgeBaseId, document: DocumentId, chunk_id: str, *, neighbours: int = 0
    ) -> ChunkRead:
        """One of them, with so many on each side. Raises Rejected (unknown_chunk) too."""
        chunks = await self.chunks(knowledge_base, document)
        for place, chunk in enumerate(chunks):
            if chunk.chunk_id == chunk_id:
                return with_neighbours(chunks, place, neighbours)
        raise unknown_chunk()

    async def _read(self, document: DocumentId) -> tuple[DocumentState, Artifacts]:
        history = await self._log.history(document)
        return fold_to_decide(DOCUMENT, history).state, artifacts_of(history)


def unknown_chunk() -> Rejected:
    """There is no such chunk in the document."""
    return Rejected(ProblemCode.UNKNOWN_CHUNK, "The document has no chunk with this id.")


def _edits_of(state: DocumentState) -> dict[str, Edit]:
    """Asked of what `existing_in` let through."""
    return {edit.chunk_id: edit for edit in record_of(state).edits}  # type: ignore[arg-type]


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, the first of them read: what cannot be read at all is told before an answer begins."""
    first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_pieces()


def _damaged() -> Rejected:
    return Rejected(
        ProblemCode.DOCUMENT_DAMAGED, "What is stored of the document is not what was recorded; upload it again."
    )
