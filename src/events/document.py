"""Facts about one document. A field may be added at the end, with a default; nothing is renamed, moved or taken away.

On the wire a field is its place (`facts_by_place`).
"""

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from events.chunking import ChunkingSettings
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.steps import Lane, Step

MetadataValue = str | int | float | bool
Metadata = dict[str, MetadataValue]


class OnDuplicate(StrEnum):
    """What becomes of a document whose bytes a live one of the knowledge base has already."""

    SKIP = "skip"
    """Nothing is done: the one that is there stands for both."""

    REPLACE = "replace"
    """It is accepted; once it is searchable the one that was there is removed."""

    KEEP = "keep"
    """It is accepted beside the other."""


class DocumentAccepted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The bytes are stored and the upload is promised to end. Leads to parse.

    `replaces` had the same bytes then; it is removed when this one is searchable.
    """

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    source_blob: str
    declared_media_type: str | None = None
    metadata: Metadata = {}
    lane: Lane = Lane.INTERACTIVE
    not_before_us: int | None = None
    replaces: DocumentId | None = None


class DocumentRequested(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The bytes lie elsewhere, at a URL or under a key of the import bucket, and somebody wants them here. Leads to
    fetch.

    `filename` holds until they say better. `sidecar_blob` says what is said here once more, beside the sources.
    """

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    filename: str
    url: str | None = None
    object_key: str | None = None
    sidecar_blob: str = ""
    metadata: Metadata = {}
    lane: Lane = Lane.INTERACTIVE
    not_before_us: int | None = None
    on_duplicate: OnDuplicate = OnDuplicate.SKIP


class DocumentFetched(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The bytes are here; from now on the document is one like those that were uploaded. Leads to parse.

    `url` is where they came from in the end, after redirects; None for an object. `replaces` had the same bytes then;
    it is removed when this one is searchable.
    """

    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    source_blob: str
    declared_media_type: str | None = None
    url: str | None = None
    replaces: DocumentId | None = None


class DocumentSkipped(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The same bytes are in the knowledge base already. Leads to finish."""

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    duplicate_of: DocumentId


class StepStarted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A worker began an attempt (from 1) at a step. `delivery` is the entry of the step's inbox that asked for it."""

    step: Step
    attempt: int
    worker: str
    delivery: str = ""


class DocumentParsed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The text was taken out and stored. Leads to chunk."""

    text_blob: str
    parser: str
    pages: int
    characters: int
    language: str | None = None
    title: str | None = None
    warnings: tuple[str, ...] = ()


class DocumentChunked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The text was cut into chunks for an index generation (0: the one that is live). Leads to embed."""

    chunks_blob: str
    chunks: int
    tokens: int
    chunker: str
    generation: int = 0


class ChunksEmbedded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One batch of chunks (first to last, both from 0 and included) has its vectors: a crash resumes behind it.

    `calls` of the model with `tokens_sent` made them, but for `chunks_reused`, which had theirs already. Of the tokens
    `tokens_by_provider` are what the provider counted itself; the rest is estimated.
    """

    batch: int
    first_chunk: int
    last_chunk: int
    vectors_blob: str
    calls: int = 0
    tokens_sent: int = 0
    chunks_reused: int = 0
    tokens_by_provider: int = 0


class DocumentEmbedded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Every chunk has its vector, made of `passage_prefix` and its text. Leads to index. `calls`, `tokens_sent`,
    `tokens_by_provider` and `chunks_reused` are sums over the batches."""

    model: str
    dimensions: int
    tokens: int
    calls: int = 0
    tokens_sent: int = 0
    chunks_reused: int = 0
    passage_prefix: str = ""
    tokens_by_provider: int = 0


class DocumentIndexed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The chunks can be found by searching. Leads to finish; and to revise where it `is_stale`.

    Stale: the document was changed while its rows were being written. `edits_lost` are the chunks that a person edited
    and that are no more.
    """

    generation: int
    chunks: int
    edits_lost: tuple[str, ...] = ()
    is_stale: bool = False


class StepFailed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt failed and will be made again at `retry_at_us`."""

    step: Step
    attempt: int
    code: str
    message: str
    retry_at_us: int


class DocumentFailed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """No further attempt is made by itself: a dead letter. Leads to finish."""

    step: Step
    code: str
    message: str


class ReprocessingRequested(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Work begins again at a step, under the task named here. Leads to that step.

    `chunking` is what the document is cut by from now on, None: as its knowledge base says; unset it stays as it was.
    """

    from_step: Step
    reason: str
    task_id: TaskId
    chunking: ChunkingSettings | UnsetType | None = UNSET


class ChunkEdited(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person changed a chunk's text (None: as it was cut) or switched it on or off. Leads to revise."""

    chunk_id: str
    text: str | None = None
    enabled: bool = True


class DocumentChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person changed what is said of a document, or switched it on or off; None is as it was. Leads to revise.

    `metadata` takes the place of all that was said before.
    """

    metadata: Metadata | None = None
    enabled: bool | None = None


class DocumentCancelled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Nobody wants the result any more. Leads to finish."""

    reason: str = ""


class DocumentRemoved(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The document shall vanish. Leads to erase."""

    reason: str = ""


class DocumentErased(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The proof that nothing is left of a removed document."""

    rows_left: int
    blobs_left: int


DocumentEvent = (
    DocumentAccepted
    | DocumentRequested
    | DocumentFetched
    | DocumentSkipped
    | StepStarted
    | DocumentParsed
    | DocumentChunked
    | ChunksEmbedded
    | DocumentEmbedded
    | DocumentIndexed
    | StepFailed
    | DocumentFailed
    | ReprocessingRequested
    | ChunkEdited
    | DocumentChanged
    | DocumentCancelled
    | DocumentRemoved
    | DocumentErased
)
