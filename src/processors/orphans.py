"""Pure: which blobs of a document nobody will ever ask for, given a listing and what the log says.

Careful where in doubt: whatever an event names stays, and so does what an event may still come to name. What is kept
by mistake costs room until the next look; what is deleted by mistake is gone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from blobs.store import BlobInfo
from domain.decider import fold
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Erased, Open, Removed, Requested, Running, awaited_step
from domain.document_stages import attempts_at
from domain.sidecar import sidecar_key
from events import document as facts
from events.envelope import Envelope, UnknownEvent
from events.steps import Step
from processors.bundle import blob_of

_DOCUMENT: Final = re.compile(r"documents/(doc_[0-9a-f]{34})/(.+)")
_ARTIFACT: Final = re.compile(r"(?:(text|bundle)|(chunks)|(vectors)/\d+)@(\d+)(?:-.*)?")
_SOURCE: Final = "source@"
_STEPS: Final = (Step.PARSE, Step.CHUNK, Step.EMBED)


class Reason(StrEnum):
    """Why nobody will ask for a blob."""

    NEVER_ACCEPTED = "never_accepted"
    ERASED = "erased"
    UNRECORDED = "unrecorded"
    RECORDED = "recorded"


class Claim(StrEnum):
    """What the sidecars of a document that the log does not know say about it."""

    NONE = "none"
    """There is no sidecar that can be read: the upload broke off before its append, for which all are needed."""

    REFUSED = "refused"
    """There is one, and the log has had its say: it lost nothing, or the knowledge base is deleted."""

    OPEN = "open"
    """The knowledge base itself is not in the log: this may be another installation's, or a log that lost much."""


class Orphan(msgspec.Struct, frozen=True):
    """A blob that can be deleted."""

    blob: BlobInfo
    reason: Reason


def document_of(key: str) -> str | None:
    """The document that a key lies under; None for a key of anything else."""
    found = _DOCUMENT.fullmatch(key)
    return None if found is None else found[1]


def is_old(blob: BlobInfo, *, now: datetime, grace: timedelta) -> bool:
    """Whether whoever stored it has had time enough to tell the log."""
    return now - blob.modified_at > grace


def orphans_of_unknown(blobs: Sequence[BlobInfo], claim: Claim, *, now: datetime, grace: timedelta) -> list[Orphan]:
    """Of a document without events. As long as one of its blobs is young somebody is at it: all of them stay."""
    if claim is Claim.OPEN or not all(is_old(blob, now=now, grace=grace) for blob in blobs):
        return []
    return [Orphan(blob, Reason.NEVER_ACCEPTED) for blob in blobs]


def orphans_of_known(
    blobs: Sequence[BlobInfo], history: Sequence[Envelope], *, now: datetime, grace: timedelta
) -> list[Orphan]:
    """Of a document with this history (whole). One that is being erased is left to the erasure."""
    if any(isinstance(envelope.event, UnknownEvent) for envelope in history):
        return []  # a newer program's facts may name any of them
    state = fold(DOCUMENT, history).state
    old = [blob for blob in blobs if is_old(blob, now=now, grace=grace)]
    match state:
        case Removed():
            return []
        case Erased():
            return [Orphan(blob, Reason.ERASED) for blob in old]
        case _:
            named = set(blobs_named(history))
            return [
                Orphan(blob, Reason.UNRECORDED)
                for blob in old
                if blob.key not in named and not _may_be_recorded(blob.key, state)
            ]


def blobs_named(history: Iterable[Envelope]) -> Iterator[str]:
    """Every blob that an event names, and the sidecars of sources. Also those that a later attempt has replaced."""
    for envelope in history:
        match envelope.event:
            case facts.DocumentAccepted(source_blob=source):
                yield source
                yield sidecar_key(source)
            case facts.DocumentRequested(sidecar_blob=key) | facts.DocumentFetched(source_blob=key):
                yield key
            case facts.DocumentParsed(text_blob=name) | facts.DocumentChunked(chunks_blob=name):
                yield blob_of(name)
            case facts.ChunksEmbedded(vectors_blob=name):
                yield blob_of(name)
            case _:
                continue


def _may_be_recorded(key: str, state: DocumentState) -> bool:
    """What the attempt under way has stored: its event may wait for a log that does not answer, for days even.

    An earlier attempt's result is refused by its number, whenever it comes.
    """
    if not (isinstance(state, Open) and isinstance(state.activity, Running)):
        return False
    below = _DOCUMENT.fullmatch(key)
    if below is not None and below[2].startswith(_SOURCE):
        return isinstance(state, Requested)
    found = None if below is None else _ARTIFACT.fullmatch(below[2])
    if found is None:
        return False
    step = next(step for step, name in zip(_STEPS, found.groups()[:3], strict=True) if name)
    return step is awaited_step(state) and int(found[4]) >= attempts_at(state, step)
