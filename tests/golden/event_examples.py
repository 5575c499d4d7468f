"""One envelope for each event type and schema version ever written, and the files that hold their bytes.

    python -m tests.golden.event_examples

writes the files that are missing, and never touches one that is there: what was written once must be read for ever.
"""

from pathlib import Path
from typing import Final

from events import document as d
from events import knowledge_base as k
from events import task as t
from events.chunking import ChunkingSettings
from events.codec import encode
from events.envelope import Envelope, Fact
from events.ids import DocumentId, EventId, KnowledgeBaseId, TaskId
from events.steps import Lane, Step

DIRECTORY: Final = Path(__file__).parent / "events"
ADDITIONS: Final = Path(__file__).parent / "additions"
BY_PLACE: Final = Path(__file__).parent / "events_by_place"
ADDITIONS_BY_PLACE: Final = Path(__file__).parent / "additions_by_place"
"""The same in the form that is written; the others are in the one that every program up to November 2026 wrote."""

KB: Final = KnowledgeBaseId("kb_07018bcfe5680070008000000000000001")
TASK: Final = TaskId("task_07018bcfe5680070008000000000000002")
DOCUMENT: Final = DocumentId("doc_07018bcfe5680080008000000000000003")
OTHER: Final = DocumentId("doc_07018bcfe5680080008000000000000004")
EVENT: Final = EventId("018bcfe5680070008000000000000005")
CAUSE: Final = EventId("018bcfe5680070008000000000000006")
TIME_US: Final = 1_700_000_000_123_456
SHA256: Final = "ab" * 32

EXAMPLES: Final[dict[tuple[str, int], Fact]] = {
    ("DocumentAccepted", 1): d.DocumentAccepted(
        knowledge_base_id=KB,
        task_id=TASK,
        filename="年度报告.pdf",
        media_type="application/pdf",
        size_bytes=123_456,
        sha256=SHA256,
        source_blob="documents/x/source",
        declared_media_type="application/octet-stream",
        metadata={"author": "李", "year": 2024, "score": 0.5, "final": True},
        lane=Lane.BULK,
        not_before_us=TIME_US,
    ),
    ("DocumentRequested", 1): d.DocumentRequested(
        knowledge_base_id=KB,
        task_id=TASK,
        filename="年度报告.pdf",
        url="https://example.com/年度报告.pdf",
        object_key="reports/年度报告.pdf",
        sidecar_blob="documents/x/request",
        metadata={"author": "李", "year": 2024},
        lane=Lane.BULK,
        not_before_us=TIME_US,
        on_duplicate=d.OnDuplicate.REPLACE,
    ),
    ("DocumentFetched", 1): d.DocumentFetched(
        filename="年度报告.pdf",
        media_type="application/pdf",
        size_bytes=123_456,
        sha256=SHA256,
        source_blob="documents/x/source",
        declared_media_type="application/octet-stream",
        url="https://files.example.com/1",
        replaces=OTHER,
    ),
    ("DocumentSkipped", 1): d.DocumentSkipped(
        knowledge_base_id=KB,
        task_id=TASK,
        filename="copy.txt",
        media_type="text/plain",
        size_bytes=9,
        sha256=SHA256,
        duplicate_of=OTHER,
    ),
    ("StepStarted", 1): d.StepStarted(step=Step.PARSE, attempt=2, worker="host-1"),
    ("StepStarted", 2): d.StepStarted(step=Step.FETCH, attempt=2, worker="host-1", delivery="5-1"),
    ("StepFailed", 2): d.StepFailed(
        step=Step.FETCH, attempt=1, code="fetch_failed", message="503", retry_at_us=TIME_US
    ),
    ("DocumentFailed", 2): d.DocumentFailed(step=Step.FETCH, code="fetch_limit", message="太大"),
    ("ReprocessingRequested", 2): d.ReprocessingRequested(from_step=Step.FETCH, reason="again", task_id=TASK),
    ("DocumentParsed", 1): d.DocumentParsed(
        text_blob="documents/x/text",
        parser="pdf",
        pages=12,
        characters=34_567,
        language="zh",
        title="年度报告",
        warnings=("page 3 has no text",),
    ),
    ("DocumentChunked", 1): d.DocumentChunked(
        chunks_blob="documents/x/chunks", chunks=42, tokens=9_000, chunker="markdown"
    ),
    ("ChunksEmbedded", 1): d.ChunksEmbedded(
        batch=1, first_chunk=32, last_chunk=41, vectors_blob="documents/x/vectors/1"
    ),
    ("DocumentEmbedded", 1): d.DocumentEmbedded(model="local", dimensions=256, tokens=9_000),
    ("DocumentIndexed", 1): d.DocumentIndexed(generation=2, chunks=42),
    ("StepFailed", 1): d.StepFailed(
        step=Step.EMBED, attempt=1, code="provider_busy", message="429", retry_at_us=TIME_US
    ),
    ("DocumentFailed", 1): d.DocumentFailed(step=Step.PARSE, code="no_text", message="没有文字"),
    ("ReprocessingRequested", 1): d.ReprocessingRequested(from_step=Step.CHUNK, reason="settings", task_id=TASK),
    ("ReprocessingRequested", 3): d.ReprocessingRequested(
        from_step=Step.CHUNK,
        reason="按行切分",
        task_id=TASK,
        chunking=ChunkingSettings(
            chunker=k.ChunkerKind.ROWS, chunk_tokens=128, chunk_overlap_tokens=16, chunk_window_sentences=2
        ),
    ),
    ("DocumentChanged", 1): d.DocumentChanged(metadata={"部门": "法务", "year": 2026}, enabled=False),
    ("ChunkEdited", 1): d.ChunkEdited(chunk_id="c1", text="新的文字", enabled=False),
    ("DocumentCancelled", 1): d.DocumentCancelled(reason="asked"),
    ("DocumentRemoved", 1): d.DocumentRemoved(reason="asked"),
    ("DocumentErased", 1): d.DocumentErased(rows_left=0, blobs_left=0),
    ("TaskSubmitted", 1): t.TaskSubmitted(
        knowledge_base_id=KB,
        documents=3,
        lane=Lane.BULK,
        source=t.TaskSource.URL,
        callback_url="https://example.com/hook",
        not_before_us=TIME_US,
        idempotency_key_sha256=SHA256,
        request_sha256=SHA256,
    ),
    ("TaskSubmitted", 2): t.TaskSubmitted(knowledge_base_id=KB, documents=2, source=t.TaskSource.OBJECT),
    ("TaskCancelled", 1): t.TaskCancelled(reason="asked"),
    ("TaskFinished", 1): t.TaskFinished(succeeded=1, failed=2, cancelled=3, skipped=4),
    ("CallbackDelivered", 1): t.CallbackDelivered(attempt=1, status_code=204),
    ("CallbackFailed", 1): t.CallbackFailed(attempt=1, status_code=500, next_attempt_at_us=TIME_US),
    ("IndexGenerationStarted", 2): k.IndexGenerationStarted(
        generation=3, settings=k.KnowledgeBaseSettings(chunk_tokens=128), request_sha256=SHA256
    ),
    ("IndexGenerationAbandoned", 1): k.IndexGenerationAbandoned(generation=3, reason="不要了"),
    ("KnowledgeBaseCreated", 1): k.KnowledgeBaseCreated(
        name="手册",
        description="Manuals",
        settings=k.KnowledgeBaseSettings(
            chunker=k.ChunkerKind.SENTENCE,
            chunk_tokens=128,
            chunk_overlap_tokens=16,
            embedding_model="bge-m3",
            embedding_dimensions=1024,
            vector_weight=0.5,
        ),
    ),
    ("KnowledgeBaseChanged", 1): k.KnowledgeBaseChanged(name="手册 2"),
    ("IndexGenerationStarted", 1): k.IndexGenerationStarted(generation=2),
    ("IndexGenerationActivated", 1): k.IndexGenerationActivated(generation=2),
    ("KnowledgeBaseDeleted", 1): k.KnowledgeBaseDeleted(reason="asked"),
}
"""What the file of each type and version decodes to today; past versions stay, with today's form of the fact."""

LATER: Final[dict[str, Fact]] = {
    "KnowledgeBaseCreated.v1.fusion": k.KnowledgeBaseCreated(
        name="by ranks", settings=k.KnowledgeBaseSettings(fusion=k.FusionKind.RRF)
    ),
    "KnowledgeBaseCreated.v1.embedding_prefixes": k.KnowledgeBaseCreated(
        name="by e5",
        settings=k.KnowledgeBaseSettings(
            embedding_normalization=k.Normalization.UNIT,
            embedding_query_prefix="query: ",
            embedding_passage_prefix="passage: ",
        ),
    ),
    "ChunksEmbedded.v1.tokens_by_provider": d.ChunksEmbedded(
        batch=1,
        first_chunk=32,
        last_chunk=41,
        vectors_blob="documents/x/vectors/1",
        calls=2,
        tokens_sent=900,
        chunks_reused=3,
        tokens_by_provider=700,
    ),
    "DocumentEmbedded.v1.tokens_by_provider": d.DocumentEmbedded(
        model="openai:BAAI/bge-m3", dimensions=1_024, tokens=9_000, calls=4, tokens_sent=8_000, tokens_by_provider=7_000
    ),
    "DocumentEmbedded.v1.passage_prefix": d.DocumentEmbedded(
        model="openai:intfloat/multilingual-e5-large", dimensions=1_024, tokens=9_000, passage_prefix="passage: "
    ),
    "DocumentAccepted.v1.replaces": d.DocumentAccepted(
        knowledge_base_id=KB,
        task_id=TASK,
        filename="again.txt",
        media_type="text/plain",
        size_bytes=9,
        sha256=SHA256,
        source_blob="documents/x/source",
        replaces=OTHER,
    ),
    "ChunksEmbedded.v1.calls": d.ChunksEmbedded(
        batch=1,
        first_chunk=32,
        last_chunk=41,
        vectors_blob="documents/x/vectors/1",
        calls=2,
        tokens_sent=900,
        chunks_reused=3,
    ),
    "DocumentEmbedded.v1.calls": d.DocumentEmbedded(
        model="local", dimensions=256, tokens=9_000, calls=4, tokens_sent=8_000, chunks_reused=5
    ),
    "DocumentChunked.v1.generation": d.DocumentChunked(
        chunks_blob="documents/x/chunks", chunks=3, tokens=9, chunker="markdown", generation=2
    ),
    "DocumentIndexed.v1.edits_lost": d.DocumentIndexed(generation=2, chunks=7, edits_lost=("c1", "c2"), is_stale=True),
    "TaskSubmitted.v1.document_ids": t.TaskSubmitted(
        knowledge_base_id=KB, documents=2, source=t.TaskSource.RETRY, document_ids=(DOCUMENT, OTHER)
    ),
}
"""Facts with fields that came later within their version: each has a default, so that older files stay readable."""


def example(fact: Fact) -> Envelope:
    """The envelope that every golden file holds its fact in."""
    return Envelope(
        event_id=EVENT,
        stream_id=DOCUMENT,
        version=7,
        event=fact,
        recorded_at_us=TIME_US,
        correlation_id=TASK,
        causation_id=CAUSE,
        actor="key-1",
        trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def path_of(event_type: str, schema_version: int, directory: Path = DIRECTORY) -> Path:
    return directory / f"{event_type}.v{schema_version}.msgpack"


def wanted_files() -> dict[Path, bytes]:
    """What this program writes, by the file that holds it."""
    examples = {(path_of(*key), path_of(*key, BY_PLACE)): fact for key, fact in EXAMPLES.items()}
    later = {
        (ADDITIONS / f"{name}.msgpack", ADDITIONS_BY_PLACE / f"{name}.msgpack"): fact for name, fact in LATER.items()
    }
    files = dict[Path, bytes]()
    for (by_name, by_place), fact in (examples | later).items():
        files[by_name] = encode(example(fact), by_name=True)
        files[by_place] = encode(example(fact))
    return files


def write_missing() -> list[Path]:
    """Writes the files that are not there yet, and says which."""
    written = []
    for path, content in wanted_files().items():
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            written.append(path)
    return written


if __name__ == "__main__":
    for path in write_missing():
        print(path)
