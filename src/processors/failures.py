"""Errors of the other packages become outcomes here, in one place."""

from typing import Final

from blobs.errors import BlobMissing, BlobStoreFull, BlobStoreUnavailable
from domain.commands import RemoveDocument
from domain.errors import Contention, RefusalCode, Refused
from events.errors import LogFull, LogUnavailable, NewerFacts
from knowledge.errors import EmbeddingError, IndexUnavailable, ParseError
from processors.origins import OriginFails, OriginRefuses
from processors.step import Done, Outcome, Reject, Retry

INTERNAL_ERROR: Final = "internal_error"
TIME_LIMIT: Final = "time_limit"
WORKER_STOPPED: Final = "worker_stopped"
POISON_DOCUMENT: Final = "poison_document"
MESSAGE_CHARS_MAX: Final = 1_000
"""A message is part of an event, which holds 64 KiB; providers answer with whole pages of HTML."""


class BlobCorrupt(Exception):
    """A blob is not what was stored under its name; the same bytes would come again."""


def outcome_of(error: Exception) -> Outcome | None:  # noqa: C901  one arm an error: the table is the point
    """What an expected error means for the attempt; None for an error that nobody expected."""
    match error:
        case ParseError():
            return Reject(error.code.value, shortened(error.message))
        case OriginRefuses():
            return Reject(error.code, shortened(error.message))
        case OriginFails():
            return Retry(error.code, shortened(error.message), error.retry_after_s)
        case EmbeddingError(is_permanent=True):
            return Reject(error.code, shortened(error.message))
        case EmbeddingError():
            return Retry(error.code, shortened(error.message), error.retry_after_s)
        case BlobMissing():
            return Reject("blob_missing", shortened(str(error)))
        case BlobCorrupt():
            return Reject("blob_corrupt", shortened(str(error)))
        case BlobStoreUnavailable():
            return Retry("blob_store_unavailable", "the blob store does not answer")
        case BlobStoreFull():
            return Retry("blob_store_full", "the blob store has no room left")
        case IndexUnavailable():
            return Retry("index_unavailable", "the search index does not answer")
        case LogUnavailable() | LogFull() | Contention():
            return Retry("log_unavailable", "the event log does not answer")
        case NewerFacts():
            return Retry("newer_facts", "a newer version of this program wrote what this step needs")
        case Refused(code=RefusalCode.KNOWLEDGE_BASE_DELETED):
            # It came in beside the deletion, too late to be listed by it: it goes the same way.
            return Done((RemoveDocument(reason="the knowledge base was deleted"),))
        case Refused():
            return Reject(error.code.value, shortened(error.detail))
        case _:
            return None


def shortened(message: str) -> str:
    """At most MESSAGE_CHARS_MAX characters."""
    return message if len(message) <= MESSAGE_CHARS_MAX else message[: MESSAGE_CHARS_MAX - 1] + "…"
