import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_INTERACTIVE: _ClassVar[Lane]
    LANE_BULK: _ClassVar[Lane]

class OnDuplicate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_DUPLICATE_UNSPECIFIED: _ClassVar[OnDuplicate]
    ON_DUPLICATE_SKIP: _ClassVar[OnDuplicate]
    ON_DUPLICATE_REPLACE: _ClassVar[OnDuplicate]
    ON_DUPLICATE_KEEP: _ClassVar[OnDuplicate]

class TaskPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_PHASE_UNSPECIFIED: _ClassVar[TaskPhase]
    TASK_PHASE_QUEUED: _ClassVar[TaskPhase]
    TASK_PHASE_PROCESSING: _ClassVar[TaskPhase]
    TASK_PHASE_COMPLETED: _ClassVar[TaskPhase]
    TASK_PHASE_PARTIAL: _ClassVar[TaskPhase]
    TASK_PHASE_FAILED: _ClassVar[TaskPhase]
    TASK_PHASE_CANCELLED: _ClassVar[TaskPhase]

class TaskSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_SOURCE_UNSPECIFIED: _ClassVar[TaskSource]
    TASK_SOURCE_UPLOAD: _ClassVar[TaskSource]
    TASK_SOURCE_RESUMABLE: _ClassVar[TaskSource]
    TASK_SOURCE_URL: _ClassVar[TaskSource]
    TASK_SOURCE_OBJECT: _ClassVar[TaskSource]
    TASK_SOURCE_TEXT: _ClassVar[TaskSource]
    TASK_SOURCE_REINDEX: _ClassVar[TaskSource]
    TASK_SOURCE_RETRY: _ClassVar[TaskSource]
    TASK_SOURCE_REPROCESS: _ClassVar[TaskSource]

class DocumentPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_PHASE_UNSPECIFIED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_QUEUED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_FETCHING: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_PARSING: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_CHUNKING: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_EMBEDDING: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_INDEXING: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_COMPLETED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_FAILED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_CANCELLED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_SKIPPED: _ClassVar[DocumentPhase]
    DOCUMENT_PHASE_DELETED: _ClassVar[DocumentPhase]

class Step(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_UNSPECIFIED: _ClassVar[Step]
    STEP_PARSE: _ClassVar[Step]
    STEP_EMBED: _ClassVar[Step]

class TextFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_FORMAT_UNSPECIFIED: _ClassVar[TextFormat]
    TEXT_FORMAT_PLAIN: _ClassVar[TextFormat]
    TEXT_FORMAT_MARKDOWN: _ClassVar[TextFormat]

class WaitReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_REASON_UNSPECIFIED: _ClassVar[WaitReason]
    WAIT_REASON_FREE_WORKER: _ClassVar[WaitReason]
    WAIT_REASON_NOT_BEFORE: _ClassVar[WaitReason]
    WAIT_REASON_NEXT_ATTEMPT: _ClassVar[WaitReason]
LANE_UNSPECIFIED: Lane
LANE_INTERACTIVE: Lane
LANE_BULK: Lane
ON_DUPLICATE_UNSPECIFIED: OnDuplicate
ON_DUPLICATE_SKIP: OnDuplicate
ON_DUPLICATE_REPLACE: OnDuplicate
ON_DUPLICATE_KEEP: OnDuplicate
TASK_PHASE_UNSPECIFIED: TaskPhase
TASK_PHASE_QUEUED: TaskPhase
TASK_PHASE_PROCESSING: TaskPhase
TASK_PHASE_COMPLETED: TaskPhase
TASK_PHASE_PARTIAL: TaskPhase
TASK_PHASE_FAILED: TaskPhase
TASK_PHASE_CANCELLED: TaskPhase
TASK_SOURCE_UNSPECIFIED: TaskSource
TASK_SOURCE_UPLOAD: TaskSource
TASK_SOURCE_RESUMABLE: TaskSource
TASK_SOURCE_URL: TaskSource
TASK_SOURCE_OBJECT: TaskSource
TASK_SOURCE_TEXT: TaskSource
TASK_SOURCE_REINDEX: TaskSource
TASK_SOURCE_RETRY: TaskSource
TASK_SOURCE_REPROCESS: TaskSource
DOCUMENT_PHASE_UNSPECIFIED: DocumentPhase
DOCUMENT_PHASE_QUEUED: DocumentPhase
DOCUMENT_PHASE_FETCHING: DocumentPhase
DOCUMENT_PHASE_PARSING: DocumentPhase
DOCUMENT_PHASE_CHUNKING: DocumentPhase
DOCUMENT_PHASE_EMBEDDING: DocumentPhase
DOCUMENT_PHASE_INDEXING: DocumentPhase
DOCUMENT_PHASE_COMPLETED: DocumentPhase
DOCUMENT_PHASE_FAILED: DocumentPhase
DOCUMENT_PHASE_CANCELLED: DocumentPhase
DOCUMENT_PHASE_SKIPPED: DocumentPhase
DOCUMENT_PHASE_DELETED: DocumentPhase
STEP_UNSPECIFIED: Step
STEP_PARSE: Step
STEP_EMBED: Step
TEXT_FORMAT_UNSPECIFIED: TextFormat
TEXT_FORMAT_PLAIN: TextFormat
TEXT_FORMAT_MARKDOWN: TextFormat
WAIT_REASON_UNSPECIFIED: WaitReason
WAIT_REASON_FREE_WORKER: WaitReason
WAIT_REASON_NOT_BEFORE: WaitReason
WAIT_REASON_NEXT_ATTEMPT: WaitReason

class SubmitTaskRequest(_message.Message):
    __slots__ = ("header", "file", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: TaskHeader
    file: FileHead
    data: bytes
    def __init__(self, header: _Optional[_Union[TaskHeader, _Mapping]] = ..., file: _Optional[_Union[FileHead, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class TaskHeader(_message.Message):
    __slots__ = ("knowledge_base_id", "idempotency_key", "metadata", "lane", "on_duplicate", "not_before", "callback_url")
    KNOWLEDGE_BASE_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    ON_DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_URL_FIELD_NUMBER: _ClassVar[int]
    knowledge_base_id: str
    idempotency_key: str
    metadata: _struct_pb2.Struct
    lane: Lane
    on_duplicate: OnDuplicate
    not_before: _timestamp_pb2.Timestamp
    callback_url: str
    def __init__(self, knowledge_base_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., lane: _Optional[_Union[Lane, str]] = ..., on_duplicate: _Optional[_Union[OnDuplicate, str]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., callback_url: _Optional[str] = ...) -> None: ...

class FileHead(_message.Message):
    __slots__ = ("filename", "media_type")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    filename: str
    media_type: str
    def __init__(self, filename: _Optional[str] = ..., media_type: _Optional[str] = ...) -> None: ...

class SubmitTaskResponse(_message.Message):
    __slots__ = ("task_id", "phase", "message", "documents")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    phase: TaskPhase
    message: str
    documents: _containers.RepeatedCompositeFieldContainer[SubmittedDocument]
    def __init__(self, task_id: _Optional[str] = ..., phase: _Optional[_Union[TaskPhase, str]] = ..., message: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[SubmittedDocument, _Mapping]]] = ...) -> None: ...

class SubmittedDocument(_message.Message):
    __slots__ = ("document_id", "filename", "phase", "duplicate_of", "replaces")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    filename: str
    phase: DocumentPhase
    duplicate_of: str
    replaces: str
    def __init__(self, document_id: _Optional[str] = ..., filename: _Optional[str] = ..., phase: _Optional[_Union[DocumentPhase, str]] = ..., duplicate_of: _Optional[str] = ..., replaces: _Optional[str] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("task_id", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ("task_id", "phase", "message", "documents")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    phase: TaskPhase
    message: str
    documents: _containers.RepeatedCompositeFieldContainer[SubmittedDocument]
    def __init__(self, task_id: _Optional[str] = ..., phase: _Optional[_Union[TaskPhase, str]] = ..., message: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[SubmittedDocument, _Mapping]]] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id", "cursor")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    cursor: str
    def __init__(self, task_id: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("task", "document", "cursor")
    TASK_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    task: Task
    document: Document
    cursor: str
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., document: _Optional[_Union[Document, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("task_id", "knowledge_base_id", "phase", "progress", "documents", "submitted_at", "started_at", "finished_at", "cancelled_at", "updated_at", "version", "filename", "source", "lane", "usage", "links")
    class LinksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_BASE_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    knowledge_base_id: str
    phase: TaskPhase
    progress: float
    documents: DocumentCounts
    submitted_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    cancelled_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    version: int
    filename: str
    source: TaskSource
    lane: Lane
    usage: Usage
    links: _containers.ScalarMap[str, str]
    def __init__(self, task_id: _Optional[str] = ..., knowledge_base_id: _Optional[str] = ..., phase: _Optional[_Union[TaskPhase, str]] = ..., progress: _Optional[float] = ..., documents: _Optional[_Union[DocumentCounts, _Mapping]] = ..., submitted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., filename: _Optional[str] = ..., source: _Optional[_Union[TaskSource, str]] = ..., lane: _Optional[_Union[Lane, str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., links: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("embedding_calls", "tokens_sent", "tokens_by_provider", "chunks_reused")
    EMBEDDING_CALLS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_SENT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_BY_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_REUSED_FIELD_NUMBER: _ClassVar[int]
    embedding_calls: int
    tokens_sent: int
    tokens_by_provider: int
    chunks_reused: int
    def __init__(self, embedding_calls: _Optional[int] = ..., tokens_sent: _Optional[int] = ..., tokens_by_provider: _Optional[int] = ..., chunks_reused: _Optional[int] = ...) -> None: ...

class DocumentCounts(_message.Message):
    __slots__ = ("total", "queued", "processing", "completed", "failed", "cancelled", "skipped")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    total: int
    queued: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    skipped: int
    def __init__(self, total: _Optional[int] = ..., queued: _Optional[int] = ..., processing: _Optional[int] = ..., completed: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("document_id", "task_id", "knowledge_base_id", "filename", "media_type", "size_bytes", "sha256", "phase", "progress", "searchable", "error", "duplicate_of", "replaces", "pages", "characters", "chunks", "chunks_embedded", "accepted_at", "updated_at", "version", "title", "language", "warnings", "metadata", "enabled", "waiting", "stages", "tokens", "usage", "index_generation", "chunks_edited", "edits_lost", "chunking", "origin")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_BASE_ID_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SEARCHABLE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    INDEX_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_EDITED_FIELD_NUMBER: _ClassVar[int]
    EDITS_LOST_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    task_id: str
    knowledge_base_id: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    phase: DocumentPhase
    progress: float
    searchable: bool
    error: StepError
    duplicate_of: str
    replaces: str
    pages: int
    characters: int
    chunks: int
    chunks_embedded: int
    accepted_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    version: int
    title: str
    language: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    metadata: _struct_pb2.Struct
    enabled: bool
    waiting: Wait
    stages: _containers.RepeatedCompositeFieldContainer[StageStatus]
    tokens: int
    usage: Usage
    index_generation: int
    chunks_edited: int
    edits_lost: _containers.RepeatedScalarFieldContainer[str]
    chunking: Chunking
    origin: Origin
    def __init__(self, document_id: _Optional[str] = ..., task_id: _Optional[str] = ..., knowledge_base_id: _Optional[str] = ..., filename: _Optional[str] = ..., media_type: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., phase: _Optional[_Union[DocumentPhase, str]] = ..., progress: _Optional[float] = ..., searchable: _Optional[bool] = ..., error: _Optional[_Union[StepError, _Mapping]] = ..., duplicate_of: _Optional[str] = ..., replaces: _Optional[str] = ..., pages: _Optional[int] = ..., characters: _Optional[int] = ..., chunks: _Optional[int] = ..., chunks_embedded: _Optional[int] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., title: _Optional[str] = ..., language: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., enabled: _Optional[bool] = ..., waiting: _Optional[_Union[Wait, _Mapping]] = ..., stages: _Optional[_Iterable[_Union[StageStatus, _Mapping]]] = ..., tokens: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., index_generation: _Optional[int] = ..., chunks_edited: _Optional[int] = ..., edits_lost: _Optional[_Iterable[str]] = ..., chunking: _Optional[_Union[Chunking, _Mapping]] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ...) -> None: ...

class StageStatus(_message.Message):
    __slots__ = ("step", "attempts", "started_at", "finished_at")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    step: str
    attempts: int
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    def __init__(self, step: _Optional[str] = ..., attempts: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Chunking(_message.Message):
    __slots__ = ("chunker", "chunk_tokens", "chunk_overlap_tokens", "chunk_parent_tokens", "chunk_window_sentences", "chunk_breakpoint_percentile")
    CHUNKER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_OVERLAP_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_PARENT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_WINDOW_SENTENCES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BREAKPOINT_PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    chunker: str
    chunk_tokens: int
    chunk_overlap_tokens: int
    chunk_parent_tokens: int
    chunk_window_sentences: int
    chunk_breakpoint_percentile: int
    def __init__(self, chunker: _Optional[str] = ..., chunk_tokens: _Optional[int] = ..., chunk_overlap_tokens: _Optional[int] = ..., chunk_parent_tokens: _Optional[int] = ..., chunk_window_sentences: _Optional[int] = ..., chunk_breakpoint_percentile: _Optional[int] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("url", "object_key")
    URL_FIELD_NUMBER: _ClassVar[int]
    OBJECT_KEY_FIELD_NUMBER: _ClassVar[int]
    url: str
    object_key: str
    def __init__(self, url: _Optional[str] = ..., object_key: _Optional[str] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ("reason", "since", "until")
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    reason: WaitReason
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[_Union[WaitReason, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StepError(_message.Message):
    __slots__ = ("code", "message", "step", "retry_at")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    step: str
    retry_at: _timestamp_pb2.Timestamp
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., step: _Optional[str] = ..., retry_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PollStepsRequest(_message.Message):
    __slots__ = ("steps", "worker", "slots")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedScalarFieldContainer[Step]
    worker: str
    slots: int
    def __init__(self, steps: _Optional[_Iterable[_Union[Step, str]]] = ..., worker: _Optional[str] = ..., slots: _Optional[int] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("lease", "lease_duration", "document_id", "task_id", "knowledge_base_id", "attempt", "parse", "embed")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    LEASE_DURATION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_BASE_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PARSE_FIELD_NUMBER: _ClassVar[int]
    EMBED_FIELD_NUMBER: _ClassVar[int]
    lease: str
    lease_duration: _duration_pb2.Duration
    document_id: str
    task_id: str
    knowledge_base_id: str
    attempt: int
    parse: ParseWork
    embed: EmbedWork
    def __init__(self, lease: _Optional[str] = ..., lease_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., document_id: _Optional[str] = ..., task_id: _Optional[str] = ..., knowledge_base_id: _Optional[str] = ..., attempt: _Optional[int] = ..., parse: _Optional[_Union[ParseWork, _Mapping]] = ..., embed: _Optional[_Union[EmbedWork, _Mapping]] = ...) -> None: ...

class ParseWork(_message.Message):
    __slots__ = ("filename", "media_type", "size_bytes", "sha256")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    def __init__(self, filename: _Optional[str] = ..., media_type: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class EmbedWork(_message.Message):
    __slots__ = ("model", "dimensions", "texts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    dimensions: int
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., dimensions: _Optional[int] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadSourceRequest(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: str
    def __init__(self, lease: _Optional[str] = ...) -> None: ...

class SourcePiece(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ReportProgressRequest(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: str
    def __init__(self, lease: _Optional[str] = ...) -> None: ...

class ReportProgressResponse(_message.Message):
    __slots__ = ("lease_duration",)
    LEASE_DURATION_FIELD_NUMBER: _ClassVar[int]
    lease_duration: _duration_pb2.Duration
    def __init__(self, lease_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CompleteStepRequest(_message.Message):
    __slots__ = ("lease", "parsed", "vectors")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PARSED_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    lease: str
    parsed: ParsedText
    vectors: Vectors
    def __init__(self, lease: _Optional[str] = ..., parsed: _Optional[_Union[ParsedText, _Mapping]] = ..., vectors: _Optional[_Union[Vectors, _Mapping]] = ...) -> None: ...

class ParsedText(_message.Message):
    __slots__ = ("pages", "format", "title", "language", "parser", "warnings")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    PARSER_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[PageText]
    format: TextFormat
    title: str
    language: str
    parser: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pages: _Optional[_Iterable[_Union[PageText, _Mapping]]] = ..., format: _Optional[_Union[TextFormat, str]] = ..., title: _Optional[str] = ..., language: _Optional[str] = ..., parser: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class PageText(_message.Message):
    __slots__ = ("number", "text")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    number: int
    text: str
    def __init__(self, number: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Vectors(_message.Message):
    __slots__ = ("vectors",)
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[Vector]
    def __init__(self, vectors: _Optional[_Iterable[_Union[Vector, _Mapping]]] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class CompleteStepResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FailStepRequest(_message.Message):
    __slots__ = ("lease", "code", "message", "is_final", "retry_after")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    lease: str
    code: str
    message: str
    is_final: bool
    retry_after: _duration_pb2.Duration
    def __init__(self, lease: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., is_final: _Optional[bool] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class FailStepResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
