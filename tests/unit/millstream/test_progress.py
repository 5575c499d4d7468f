"""Off a terminal each document that ends is one line."""

import io
from datetime import UTC, datetime

import msgspec
from rich.console import Console

from domain.document_status import DocumentStatus
from domain.status import DocumentPhase
from millstream.client_answers import DocumentChanged
from millstream.progress import TaskProgress

AT = datetime(2026, 11, 30, tzinfo=UTC).isoformat()


def ended(name: str, status: DocumentPhase, chunks: int, error: dict[str, str] | None = None) -> DocumentChanged:
    nothing = dict.fromkeys(("waiting", "duplicate_of", "replaces", "title", "language", "origin"))
    about = {
        "task_id": "task_1",
        "knowledge_base_id": "kb_1",
        "media_type": "text/plain",
        "size_bytes": 1,
        "sha256": "0",
    }
    reached = {"progress": 1.0, "searchable": True, "stages": [], "counts": {"chunks": chunks}, "warnings": []}
    document = {
        **nothing,
        **about,
        **reached,
        "document_id": f"doc_{name}",
        "filename": name,
        "status": status.value,
        "error": error,
        "metadata": {},
        "accepted_at": AT,
        "updated_at": AT,
        "version": 1,
    }
    return DocumentChanged(msgspec.convert(document, DocumentStatus))


def test_a_document_is_one_line_however_long_its_reason_is() -> None:
    written = io.StringIO()
    message = "the file is damaged " * 20
    error = {"code": "parse_failed", "message": message.strip(), "step": "parse"}
    TaskProgress(Console(file=written, width=80)).follow(
        [
            ended("long.pdf", DocumentPhase.FAILED, 0, error),
            ended("one.txt", DocumentPhase.COMPLETED, 1),
            ended("many.txt", DocumentPhase.COMPLETED, 1231),
        ]
    )
    assert written.getvalue().splitlines() == [
        f"failed     long.pdf  parse_failed: {message.strip()}",
        "completed  one.txt  1 chunk",
        "completed  many.txt  1,231 chunks",
    ]
