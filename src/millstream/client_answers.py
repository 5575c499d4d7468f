"""What a server answers, as the client hands it on."""

import msgspec

from domain.status import DocumentStatus, TaskStatus
from events.document import Metadata


class AcceptedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One document of an accepted upload."""

    document_id: str
    filename: str
    status: str
    duplicate_of: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an upload."""

    task_id: str
    status: str
    message: str
    documents: tuple[AcceptedDocument, ...]
    links: dict[str, str]


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a retry of dead letters, and to its dry run (without tasks)."""

    dry_run: bool
    documents: int
    by_code: dict[str, int]
    by_step: dict[str, int]
    by_knowledge_base: dict[str, int]
    has_more: bool
    tasks: tuple[Accepted, ...] = ()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A passage with its neighbours, in reading order."""

    text: str
    chunk_ids: tuple[str, ...]


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a search did without."""

    code: str
    message: str


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found. `page` counts from 1, None where the format has no pages; `score` is 0 to 1."""

    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    text: str
    score: float
    page: int | None = None
    highlights: tuple[tuple[int, int], ...] = ()
    headings: tuple[str, ...] = ()
    metadata: Metadata = {}
    context: Context | None = None
    parent_text: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a search."""

    passages: tuple[Passage, ...]
    took_ms: float
    warnings: tuple[Warned, ...] = ()


class TaskChanged(msgspec.Struct, frozen=True):
    """The task's new state."""

    task: TaskStatus


class DocumentChanged(msgspec.Struct, frozen=True):
    """The new state of one of its documents."""

    document: DocumentStatus


class TaskEnded(msgspec.Struct, frozen=True):
    """Nothing more comes."""


TaskNews = TaskChanged | DocumentChanged | TaskEnded


class PreviewedChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a text that was cut to see how."""

    ordinal: int
    text: str
    span: tuple[int, int]
    tokens: int
    page: int | None
    headings: tuple[str, ...]
    indexed_text: str
    parent_text: str


class ChunkPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The first chunks, and figures about all."""

    chunker: str
    counted_by: str
    characters: int
    total: int
    tokens: int
    tokens_min: int
    tokens_max: int
    chunks: tuple[PreviewedChunk, ...]
