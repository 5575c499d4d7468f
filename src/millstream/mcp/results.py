"""What each tool answers: structs whose schemas are told to clients. Texts of documents are data, and bounded."""

from datetime import datetime

import msgspec

from events.document import Metadata
from knowledge.search import SearchWarning


class FoundPassage(msgspec.Struct, frozen=True, kw_only=True):
    """A passage. `span` is the chunk's place in the document's text, in characters; `is_cut`: the text goes on."""

    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    page: int | None
    headings: tuple[str, ...]
    score: float
    span: tuple[int, ...]
    text: str
    is_cut: bool
    metadata: Metadata


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Best first; `warnings` say what the search did without."""

    passages: tuple[FoundPassage, ...]
    reranker: str | None
    warnings: tuple[SearchWarning, ...]


class KnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    """One knowledge base; `searchable` of its `documents` are found by searches now."""

    knowledge_base_id: str
    name: str
    description: str
    documents: int
    searchable: int
    chunks: int
    updated_at: datetime


class KnowledgeBases(msgspec.Struct, frozen=True, kw_only=True):
    """One page; the next one begins at `next_cursor`."""

    knowledge_bases: tuple[KnowledgeBase, ...]
    next_cursor: str | None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document; `problem` says why it failed."""

    document_id: str
    filename: str
    status: str
    searchable: bool
    media_type: str
    size_bytes: int
    pages: int
    characters: int
    chunks: int
    metadata: Metadata
    problem: str | None


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first; the next one begins at `next_cursor`."""

    documents: tuple[Document, ...]
    next_cursor: str | None


class DocumentPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document's text. `next_start` is where to read on, null at the end of the document or the page."""

    document_id: str
    title: str | None
    language: str | None
    span: tuple[int, ...]
    characters: int
    pages: tuple[int, ...]
    text: str
    next_start: int | None
    warnings: tuple[str, ...]


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as searches find it; `is_cut`: its text goes on."""

    chunk_id: str
    ordinal: int
    page: int | None
    headings: tuple[str, ...]
    span: tuple[int, ...]
    text: str
    is_cut: bool


class ChunkInContext(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk with those next to it, in reading order."""

    document_id: str
    chunk: Chunk
    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]


class AcceptedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document of an accepted task; `duplicate_of` has the same bytes already."""

    document_id: str
    filename: str
    status: str
    duplicate_of: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The task to watch."""

    task_id: str
    status: str
    message: str
    documents: tuple[AcceptedDocument, ...]


class TaskDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How far a document is; `problem` says what failed last."""

    document_id: str
    filename: str
    status: str
    progress: float
    problem: str | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is. `has_ended`: nothing more happens; `documents` are the first of `documents_total`."""

    task_id: str
    knowledge_base_id: str
    status: str
    has_ended: bool
    progress: float
    documents_total: int
    documents_failed: int
    documents: tuple[TaskDocument, ...]


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """What `[number]` in an answer stands for."""

    number: int
    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    page: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`found` is false where the documents do not answer."""

    answer: str
    found: bool
    citations: tuple[Citation, ...]
    model: str
    is_cut: bool
    warnings: tuple[SearchWarning, ...]
