"""Pure: which artifacts of a document are shown, by its history."""

from collections.abc import Iterable, Sequence
from typing import Annotated, NoReturn

import msgspec
from msgspec import Meta

from domain.document import (
    About,
    Cancelled,
    DocumentState,
    Edit,
    Erased,
    Failed,
    Open,
    Removed,
    Requested,
    Skipped,
    Unknown,
    record_of,
)
from domain.errors import RefusalCode, Refused
from domain.results import ChunkFacts
from events.document import DocumentChunked, DocumentIndexed, DocumentParsed
from events.envelope import Envelope
from events.ids import KnowledgeBaseId
from knowledge.chunk import Chunk
from processors.rows import edited_chunk

Span = Annotated[tuple[int, ...], Meta(min_length=2, max_length=2)]
"""First character, and the first behind the last."""


class Artifacts(msgspec.Struct, frozen=True):
    """What a document was made into; None as long as it never came so far."""

    text: DocumentParsed | None = None
    chunks: DocumentChunked | None = None


class ShownChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk as it is searched. `span` is the place of its original in the document's text, in characters;
    `edited`: a person has written `text` anew; without `enabled` no search finds it."""

    chunk_id: str
    document_id: str
    ordinal: int
    text: str
    page: int | None
    span: Span
    headings: tuple[str, ...]
    tokens: int
    enabled: bool
    edited: bool


class ChunkRead(ShownChunk, frozen=True, kw_only=True, omit_defaults=True):
    """One chunk with those next to it in the document, in reading order, where they were asked for."""

    before: tuple[ShownChunk, ...] = ()
    after: tuple[ShownChunk, ...] = ()


def with_neighbours(chunks: Sequence[ShownChunk], place: int, neighbours: int) -> ChunkRead:
    """The chunk at a place of all chunks of its document, with so many on each side."""
    before, after = chunks[max(0, place - neighbours) : place], chunks[place + 1 : place + 1 + neighbours]
    return ChunkRead(**msgspec.structs.asdict(chunks[place]), before=tuple(before), after=tuple(after))


def artifacts_of(history: Iterable[Envelope]) -> Artifacts:
    """What searches find, whatever is being done to the document; before it was ever searchable, what there is."""
    serving, latest = Artifacts(), Artifacts()
    for envelope in history:
        match envelope.event:
            case DocumentParsed() as parsed:
                latest = Artifacts(text=parsed)
            case DocumentChunked() as chunked:
                latest = Artifacts(text=latest.text, chunks=chunked)
            case DocumentIndexed():
                serving = latest
            case _:
                continue
    return latest if serving.text is None else serving


def existing_in(knowledge_base: KnowledgeBaseId, state: DocumentState) -> About:
    """What is known of a document whose bytes are here. Raises Refused that says why there is nothing to read."""
    match state:
        case Unknown():
            raise _unknown()
        case Removed() | Erased():
            existing_in(knowledge_base, state.before)
            raise Refused(RefusalCode.DOCUMENT_REMOVED, "the document was deleted")
        case Skipped():
            if state.knowledge_base_id != knowledge_base:
                raise _unknown()
            raise Refused(RefusalCode.DOCUMENT_ENDED, f"a duplicate; read {state.duplicate_of} instead")
        case _:
            about = record_of(state).about
            if about.knowledge_base_id != knowledge_base:
                raise _unknown()
            return about


def fetched_in(knowledge_base: KnowledgeBaseId, state: DocumentState) -> About:
    """The same, of one whose bytes are here. Raises Refused."""
    about = existing_in(knowledge_base, state)
    reached = state.reached if isinstance(state, Failed | Cancelled) else state
    if isinstance(reached, Requested):
        refuse_unreached(state, "its bytes")
    return about


def refuse_unreached(state: DocumentState, what: str) -> NoReturn:
    """Raises Refused for a document that has not, or will not, come so far."""
    if isinstance(state, Open):
        raise Refused(RefusalCode.DOCUMENT_IN_PROGRESS, f"{what} will be here once the document has come so far")
    raise Refused(RefusalCode.STEP_NOT_REACHED, f"the document ended before {what} could be had")


def facts_of(chunked: DocumentChunked) -> ChunkFacts:
    """As `processors.stored` wants them."""
    return ChunkFacts(
        chunks_blob=chunked.chunks_blob, chunks=chunked.chunks, tokens=chunked.tokens, chunker=chunked.chunker
    )


def shown_chunk(document_id: str, chunk: Chunk, edit: Edit | None) -> ShownChunk:
    """A chunk with what a person made of it."""
    now = edited_chunk(chunk, edit)
    return ShownChunk(
        chunk_id=chunk.chunk_id,
        document_id=document_id,
        ordinal=chunk.ordinal,
        text=now.text,
        page=chunk.page,
        span=(chunk.start, chunk.end),
        headings=chunk.headings,
        tokens=now.tokens,
        enabled=edit is None or edit.enabled,
        edited=now is not chunk,
    )


def _unknown() -> Refused:
    return Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id in the knowledge base")
