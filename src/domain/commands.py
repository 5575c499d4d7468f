"""What can be asked of a document, a task and a knowledge base."""

import msgspec
from msgspec import UNSET, UnsetType

from events.chunking import ChunkingSettings
from events.document import Metadata, OnDuplicate
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.knowledge_base import KnowledgeBaseSettings
from events.log import Tally
from events.steps import Lane, Step
from events.task import TaskSource


class AcceptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes are stored under `source_blob`; process them, or what `on_duplicate` says where `holder` has them too.

    Who holds the digest is found out by `domain.handle`. A sidecar that does not speak of duplicates is older than the
    choice, and was kept.
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
    on_duplicate: OnDuplicate = OnDuplicate.KEEP
    holder: DocumentId | None = None


class RequestDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Fetch the bytes from `url` or, under `object_key`, from the import bucket; then process them."""

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


class SkipDocument(msgspec.Struct, frozen=True, kw_only=True):
    """It was skipped once, and the log has forgotten: say it again, whatever is in the knowledge base now."""

    knowledge_base_id: KnowledgeBaseId
    task_id: TaskId
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    duplicate_of: DocumentId


class StartStep(msgspec.Struct, frozen=True, kw_only=True):
    """A worker begins attempt `attempt` (one more than the document has seen at this step), asked by `delivery`."""

    step: Step
    attempt: int
    worker: str
    delivery: str = ""


class RecordFetched(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes are stored under `source_blob`; `on_duplicate` and `holder` as in AcceptDocument."""

    attempt: int
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    source_blob: str
    declared_media_type: str | None = None
    url: str | None = None
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    holder: DocumentId | None = None


class RecordParsed(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    text_blob: str
    parser: str
    pages: int
    characters: int
    language: str | None = None
    title: str | None = None
    warnings: tuple[str, ...] = ()


class RecordChunked(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    chunks_blob: str
    chunks: int
    tokens: int
    chunker: str
    generation: int = 0


class RecordBatchEmbedded(msgspec.Struct, frozen=True, kw_only=True):
    """Batches come in order, from 0; chunks from 0, `last_chunk` included."""

    attempt: int
    batch: int
    first_chunk: int
    last_chunk: int
    vectors_blob: str
    calls: int = 0
    tokens_sent: int = 0
    chunks_reused: int = 0
    tokens_by_provider: int = 0


class RecordEmbedded(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    model: str
    dimensions: int
    tokens: int
    passage_prefix: str = ""


class RecordIndexed(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` is how often the document had been changed when its rows were made; None where nobody looked."""

    attempt: int
    generation: int
    chunks: int
    edits_lost: tuple[str, ...] = ()
    changes: int | None = None


class FailStep(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt failed; without `retry_at_us` it was the last one."""

    step: Step
    attempt: int
    code: str
    message: str
    retry_at_us: int | None = None


class RequestReprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """Begin again under another task; without `from_step` where it stopped, an indexed document from its source.

    With `chunking` at the latest where it is cut: by that from now on, None is as its knowledge base says.
    """

    reason: str
    task_id: TaskId
    from_step: Step | None = None
    chunking: ChunkingSettings | UnsetType | None = UNSET


class ChangeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """None leaves a field as it is; `metadata` takes the place of all that was said before."""

    metadata: Metadata | None = None
    enabled: bool | None = None


class EditChunk(msgspec.Struct, frozen=True, kw_only=True):
    """What is left out stays; `text` None is the text as it was cut. That the chunk exists is for others to check."""

    chunk_id: str
    text: str | UnsetType | None = UNSET
    enabled: bool | None = None


class CancelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """With `task_id` only as long as the document is that task's: it may have been handed on to another."""

    reason: str = ""
    task_id: TaskId | None = None


class RemoveDocument(msgspec.Struct, frozen=True, kw_only=True):
    """With `only_failed` only as long as the document is a dead letter."""

    reason: str = ""
    only_failed: bool = False


class RecordErased(msgspec.Struct, frozen=True, kw_only=True):
    rows_left: int
    blobs_left: int


DocumentCommand = (
    AcceptDocument
    | RequestDocument
    | SkipDocument
    | StartStep
    | RecordFetched
    | RecordParsed
    | RecordChunked
    | RecordBatchEmbedded
    | RecordEmbedded
    | RecordIndexed
    | FailStep
    | RequestReprocessing
    | ChangeDocument
    | EditChunk
    | CancelDocument
    | RemoveDocument
    | RecordErased
)


class SubmitTask(msgspec.Struct, frozen=True, kw_only=True):
    knowledge_base_id: KnowledgeBaseId
    documents: int
    lane: Lane = Lane.INTERACTIVE
    source: TaskSource = TaskSource.UPLOAD
    callback_url: str | None = None
    not_before_us: int | None = None
    idempotency_key_sha256: str | None = None
    request_sha256: str | None = None
    document_ids: tuple[DocumentId, ...] = ()


class CancelTask(msgspec.Struct, frozen=True, kw_only=True):
    reason: str = ""


class FinishTask(msgspec.Struct, frozen=True, kw_only=True):
    """The tally says that no document is open."""

    tally: Tally


class RecordCallbackDelivered(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint took the news at attempt `attempt` (from 1)."""

    attempt: int
    status_code: int


class RecordCallbackFailed(msgspec.Struct, frozen=True, kw_only=True):
    """It did not; None for `next_attempt_at_us`: no attempt follows."""

    attempt: int
    status_code: int | None = None
    next_attempt_at_us: int | None = None


TaskCommand = SubmitTask | CancelTask | FinishTask | RecordCallbackDelivered | RecordCallbackFailed


class CreateKnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str = ""
    settings: KnowledgeBaseSettings = KnowledgeBaseSettings()


class ChangeKnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    """None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    settings: KnowledgeBaseSettings | None = None


class StartIndexGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """Build the next index, by `settings` (None: those that hold). Without a number the decision finds it."""

    generation: int | None = None
    settings: KnowledgeBaseSettings | None = None
    request_sha256: str | None = None


class ActivateIndexGeneration(msgspec.Struct, frozen=True, kw_only=True):
    generation: int


class AbandonIndexGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """Give up the index that is being built, if there is one."""

    reason: str = ""


class DeleteKnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    reason: str = ""


KnowledgeBaseCommand = (
    CreateKnowledgeBase
    | ChangeKnowledgeBase
    | StartIndexGeneration
    | ActivateIndexGeneration
    | AbandonIndexGeneration
    | DeleteKnowledgeBase
)
