"""The sidecar of an upload: JSON that says all that the acceptance of a document says.

    documents/<document>/source@<nonce>        the bytes as they came; on S3 it carries its sidecar where that is short
    documents/<document>/source@<nonce>.json   the sidecar, where the source does not carry it or not the whole of it

All sidecars of a request are stored before its events are appended. So an upload whose events a log has lost can be
accepted again from the blob store alone, under the same ids, and one that has no complete set of sidecars was never
accepted.

Of a file that was skipped as a duplicate neither bytes nor sidecar are kept. Where others of its request were accepted,
the sidecar of the first of them is written again, and says so in its stead.
"""

import re
from collections.abc import Collection
from typing import Final

import msgspec

from domain.commands import AcceptDocument, SkipDocument, SubmitTask
from events.ids import DocumentId

SIDECAR_FORMAT: Final = 3
"""Format 1 had no `submit`, formats 1 and 2 knew of nothing that was skipped."""

_BESIDE: Final = ".json"
_CARRIER: Final = re.compile(rf"documents/(doc_[0-9a-f]{{34}})/source@[0-9a-f]+(?:{re.escape(_BESIDE)})?")


class SkippedFile(msgspec.Struct, frozen=True):
    """A file of the request that has no sidecar of its own any more."""

    ordinal: int
    skip: SkipDocument


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a request; `stored_at_us` is the same for all documents of one request."""

    format: int
    document_id: DocumentId
    ordinal: int
    documents: int
    stored_at_us: int
    actor: str
    accept: AcceptDocument
    submit: SubmitTask | None = None
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def submission(self) -> SubmitTask:
        """What the request asked for; format 1 knew of everything but the Idempotency-Key."""
        return self.submit or SubmitTask(
            knowledge_base_id=self.accept.knowledge_base_id,
            documents=self.documents,
            lane=self.accept.lane,
            not_before_us=self.accept.not_before_us,
        )


_decoder = msgspec.json.Decoder(Sidecar)


def source_key(document: DocumentId, nonce: str) -> str:
    """Where a document's bytes lie. The nonce keeps a repeated request from overwriting what was accepted."""
    return f"documents/{document}/source@{nonce}"


def sidecar_key(source: str) -> str:
    """Where the sidecar of a source lies that does not carry it."""
    return f"{source}{_BESIDE}"


def lies_beside(key: str) -> bool:
    """Whether a carrier is a blob of its own, and not the source."""
    return key.endswith(_BESIDE)


def document_of_carrier(key: str) -> DocumentId | None:
    """The document whose sidecar is, or may be carried by, the blob of this key; None for a key of anything else."""
    found = _CARRIER.fullmatch(key)
    return None if found is None else DocumentId(found[1])


def sidecar_carriers(keys: Collection[str]) -> list[str]:
    """Of all keys of a document those to ask: a sidecar beside its source says what the source carries, or more."""
    return [key for key in keys if document_of_carrier(key) is not None and sidecar_key(key) not in keys]


def encode_sidecar(sidecar: Sidecar) -> bytes:
    return msgspec.json.encode(sidecar)


def decode_sidecar(key: str, content: bytes) -> Sidecar | None:
    """None for bytes that are no sidecar of this carrier: cut off, of a newer format, or another document's."""
    try:
        sidecar = _decoder.decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError):
        return None
    is_ours = sidecar.format <= SIDECAR_FORMAT and sidecar.accept.source_blob == key.removesuffix(_BESIDE)
    return sidecar if is_ours and sidecar.document_id == document_of_carrier(key) else None
