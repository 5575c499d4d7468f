"""How one document is cut where that is not as its knowledge base says."""

from typing import Annotated, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings


class ChunkingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a knowledge base's settings that cuts texts, complete: what the knowledge base changes later does not
    change it. All else (the embedding model above all) stays the knowledge base's."""

    chunker: ChunkerKind
    chunk_tokens: Annotated[int, Meta(ge=16, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=1024)]
    chunk_parent_tokens: Annotated[int, Meta(ge=16, le=8192)] | UnsetType = UNSET
    chunk_window_sentences: Annotated[int, Meta(ge=1, le=20)] | UnsetType = UNSET
    chunk_breakpoint_percentile: Annotated[int, Meta(ge=1, le=99)] | UnsetType = UNSET

    @classmethod
    def of(cls, settings: KnowledgeBaseSettings) -> Self:
        """As this knowledge base cuts."""
        return cls(**{name: getattr(settings, name) for name in cls.__struct_fields__})

    def within(self, settings: KnowledgeBaseSettings) -> KnowledgeBaseSettings:
        """The settings of a knowledge base, but for how a text is cut."""
        return msgspec.structs.replace(settings, **msgspec.structs.asdict(self))
