"""The names of a document's blobs.

Each carries the attempt that made it: a zombie cannot overwrite what a newer attempt has stored and recorded. And each
carries a digest of its bytes: the name is part of an event, so what a blob store answers can be held against the log.
"""

import hashlib
import re
from typing import Final

DIGEST_CHARS: Final = 32
"""128 bits of SHA-256: nobody forges these blobs, so chance alone counts."""

_DIGEST: Final = re.compile(rf"@\d+-([0-9a-f]{{{DIGEST_CHARS}}})\Z")


def prefix_of(document_id: str) -> str:
    """Everything that belongs to the document lies below it."""
    return f"documents/{document_id}/"


def text_blob(document_id: str, attempt: int, content: bytes) -> str:
    return f"{prefix_of(document_id)}text@{attempt}-{_digest_of(content)}"


def chunks_blob(document_id: str, attempt: int, content: bytes) -> str:
    return f"{prefix_of(document_id)}chunks@{attempt}-{_digest_of(content)}"


def vectors_blob(document_id: str, batch: int, attempt: int, content: bytes) -> str:
    return f"{prefix_of(document_id)}vectors/{batch}@{attempt}-{_digest_of(content)}"


def bundle_blob(document_id: str, attempt: int) -> str:
    """Of what one attempt at parsing has made of a small document; each part of it has a digest of its own."""
    return f"{prefix_of(document_id)}bundle@{attempt}"


def is_what_was_stored(name: str, content: bytes) -> bool:
    """Whether these are the bytes that got this name; a name without a digest says nothing against any."""
    promised = _DIGEST.search(name)
    return promised is None or promised[1] == _digest_of(content)


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]
