"""Facts about one knowledge base. Fields are added at the end (`document`)."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType


class ChunkerKind(StrEnum):
    """How text is cut."""

    SENTENCE = "sentence"
    MARKDOWN = "markdown"
    TOKENS = "tokens"
    WINDOW = "window"
    PARENTS = "parents"
    SEMANTIC = "semantic"
    ROWS = "rows"
    PAGE = "page"


class FusionKind(StrEnum):
    """How a search by words and by meaning becomes one ranking: weighted scores, or ranks alone."""

    CONVEX = "convex"
    RRF = "rrf"


class Normalization(StrEnum):
    """What is done to vectors before they are stored and compared."""

    UNIT = "unit"
    """Length 1, so that their product is the cosine."""


class KnowledgeBaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """How a knowledge base turns documents into passages; a change of any field here starts a new index generation."""

    chunker: ChunkerKind = ChunkerKind.MARKDOWN
    chunk_tokens: Annotated[int, Meta(ge=16, le=4096)] = 256
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=1024)] = 32
    embedding_model: Annotated[str, Meta(min_length=1, max_length=200)] = "local"
    embedding_dimensions: Annotated[int, Meta(ge=1, le=16384)] | None = None
    vector_weight: Annotated[float, Meta(ge=0, le=1)] | None = None
    fusion: FusionKind | UnsetType = UNSET
    """Came later: not written where it was never set."""
    # Unset, they are not written: facts of those who do not use them stay as every release wrote them.
    chunk_parent_tokens: Annotated[int, Meta(ge=16, le=8192)] | UnsetType = UNSET
    chunk_window_sentences: Annotated[int, Meta(ge=1, le=20)] | UnsetType = UNSET
    chunk_breakpoint_percentile: Annotated[int, Meta(ge=1, le=99)] | UnsetType = UNSET
    embedding_normalization: Normalization | UnsetType = UNSET
    """Unset in older facts, whose vectors have length 1 as well."""
    embedding_query_prefix: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET
    embedding_passage_prefix: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET


class KnowledgeBaseCreated(msgspec.Struct, frozen=True, array_like=True):
    """A place for documents that are searched together."""

    name: str
    description: str = ""
    settings: KnowledgeBaseSettings = KnowledgeBaseSettings()


class KnowledgeBaseChanged(msgspec.Struct, frozen=True, array_like=True):
    """Only the changed fields are set."""

    name: str | None = None
    description: str | None = None
    settings: KnowledgeBaseSettings | None = None


class IndexGenerationStarted(msgspec.Struct, frozen=True, array_like=True):
    """A new index is built beside the old one, by `settings` (None: those that hold).

    `request_sha256` recognises the request when it is repeated.
    """

    generation: int
    settings: KnowledgeBaseSettings | None = None
    request_sha256: str | None = None


class IndexGenerationActivated(msgspec.Struct, frozen=True, array_like=True):
    """Searches read this generation from now on, and its settings hold."""

    generation: int


class IndexGenerationAbandoned(msgspec.Struct, frozen=True, array_like=True):
    """Nobody wants this generation any more; searches go on reading the old one."""

    generation: int
    reason: str = ""


class KnowledgeBaseDeleted(msgspec.Struct, frozen=True, array_like=True):
    """The knowledge base and all its documents shall vanish. Leads to erase."""

    reason: str = ""


KnowledgeBaseEvent = (
    KnowledgeBaseCreated
    | KnowledgeBaseChanged
    | IndexGenerationStarted
    | IndexGenerationActivated
    | IndexGenerationAbandoned
    | KnowledgeBaseDeleted
)
