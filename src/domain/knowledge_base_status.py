"""What a client sees of a knowledge base, and how its counters follow from its documents by difference."""

from datetime import datetime
from typing import Final, Self

import msgspec

from domain.counts import DocumentCategory, category_of
from domain.document import DocumentState, Record, Skipped, is_recorded, record_of
from domain.instant import utc
from domain.knowledge_base import ActiveKnowledgeBase
from events.ids import KnowledgeBaseId
from events.knowledge_base import KnowledgeBaseSettings, Normalization


class KnowledgeBaseCounts(msgspec.Struct, frozen=True, gc=False):
    """Sums over the documents that exist (a removed one counts nowhere). `chunks` are those that searches find."""

    queued: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    searchable: int = 0
    chunks: int = 0
    size_bytes: int = 0

    @property
    def total(self) -> int:
        """Documents, whatever they count as."""
        return self.queued + self.processing + self.completed + self.failed + self.cancelled + self.skipped

    def plus(self, other: Self) -> "KnowledgeBaseCounts":
        return KnowledgeBaseCounts(
            self.queued + other.queued,
            self.processing + other.processing,
            self.completed + other.completed,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            self.skipped + other.skipped,
            self.searchable + other.searchable,
            self.chunks + other.chunks,
            self.size_bytes + other.size_bytes,
        )

    def minus(self, other: Self) -> "KnowledgeBaseCounts":
        return KnowledgeBaseCounts(
            self.queued - other.queued,
            self.processing - other.processing,
            self.completed - other.completed,
            self.failed - other.failed,
            self.cancelled - other.cancelled,
            self.skipped - other.skipped,
            self.searchable - other.searchable,
            self.chunks - other.chunks,
            self.size_bytes - other.size_bytes,
        )


class KnowledgeBaseDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents there are and what they count as; the parts add up to `total`."""

    total: int
    queued: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    skipped: int
    searchable: int


class EmbeddingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the vectors that searches read are made by. `dimensions` is null where it never was recorded;
    `normalization` `unit` means length 1, of queries too. The prefixes are what the model reads ahead of a text."""

    model: str
    dimensions: int | None
    normalization: Normalization
    query_prefix: str
    passage_prefix: str


class KnowledgeBaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One knowledge base. `index_generation` is the one that searches read; another may be in the making, by other
    settings. `index_switched_at`: when that was last done with, or given up."""

    knowledge_base_id: KnowledgeBaseId
    name: str
    description: str
    settings: KnowledgeBaseSettings
    embedding: EmbeddingStatus
    documents: KnowledgeBaseDocuments
    chunks: int
    size_bytes: int
    index_generation: int
    index_generation_building: int | None
    index_settings_building: KnowledgeBaseSettings | None = None
    index_switched_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    links: dict[str, str]


_NOTHING: Final = KnowledgeBaseCounts()
_SHARE: Final = {category: KnowledgeBaseCounts(**{category.value: 1}) for category in DocumentCategory}


def share_of(state: DocumentState) -> KnowledgeBaseCounts:
    """What one document adds to the counters of its knowledge base."""
    category = category_of(state)
    if category is None or not (is_recorded(state) or isinstance(state, Skipped)):
        return _NOTHING
    share = _SHARE[category]
    if not is_recorded(state):
        return share
    record = record_of(state)
    serving = record.serving if record.enabled else None
    return msgspec.structs.replace(
        share,
        searchable=0 if serving is None else 1,
        chunks=0 if serving is None else max(0, serving.chunks - _switched_off(record)),
        size_bytes=record.about.size_bytes,
    )


def difference(before: DocumentState, after: DocumentState) -> KnowledgeBaseCounts:
    """What a change of one document does to the counters of its knowledge base."""
    share, was = share_of(after), share_of(before)
    return share if was is _NOTHING else share.minus(was)


def knowledge_base_status(
    knowledge_base_id: KnowledgeBaseId,
    state: ActiveKnowledgeBase,
    counts: KnowledgeBaseCounts,
    *,
    version: int,
    updated_at_us: int,
) -> KnowledgeBaseStatus:
    """`version` rises with every change, of a document too, and is its ETag."""
    path = f"/api/v1/knowledge-bases/{knowledge_base_id}"
    return KnowledgeBaseStatus(
        knowledge_base_id=knowledge_base_id,
        name=state.name,
        description=state.description,
        settings=state.settings,
        embedding=_embedding_of(state.settings),
        documents=KnowledgeBaseDocuments(
            total=counts.total,
            queued=counts.queued,
            processing=counts.processing,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
            skipped=counts.skipped,
            searchable=counts.searchable,
        ),
        chunks=counts.chunks,
        size_bytes=counts.size_bytes,
        index_generation=state.generation,
        index_generation_building=state.building,
        index_settings_building=None if state.building is None else state.building_settings or state.settings,
        index_switched_at=utc(state.switched_at_us) if state.switched_at_us else None,
        created_at=utc(state.created_at_us),
        updated_at=utc(updated_at_us),
        version=version,
        links={"self": path, "documents": f"{path}/documents", "search": f"{path}/search"},
    )


def _embedding_of(settings: KnowledgeBaseSettings) -> EmbeddingStatus:
    return EmbeddingStatus(
        model=settings.embedding_model,
        dimensions=settings.embedding_dimensions,
        normalization=settings.embedding_normalization or Normalization.UNIT,
        query_prefix=settings.embedding_query_prefix or "",
        passage_prefix=settings.embedding_passage_prefix or "",
    )


def _switched_off(record: Record) -> int:
    if not record.edits:
        return 0
    return sum(not edit.enabled and edit.chunk_id not in record.edits_lost for edit in record.edits)
