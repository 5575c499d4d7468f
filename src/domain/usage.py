"""What embedding the documents of a task has cost, by difference."""

from collections.abc import Sequence
from typing import Final

import msgspec

from domain.document import (
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Removed,
    Unknown,
)
from domain.results import Batch


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Calls of embedding models, tokens sent, and chunks whose vectors were there already. Of the tokens
    `tokens_by_provider` were counted by the provider; the rest is estimated."""

    embedding_calls: int = 0
    tokens_sent: int = 0
    tokens_by_provider: int = 0
    chunks_reused: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.embedding_calls + other.embedding_calls,
            self.tokens_sent + other.tokens_sent,
            self.tokens_by_provider + other.tokens_by_provider,
            self.chunks_reused + other.chunks_reused,
        )


NO_USAGE: Final = Usage()


def spent(before: DocumentState, after: DocumentState) -> Usage:
    """What a run of one document's events under one task cost.

    Batches that were there before are another run's, of another task where the document has begun again since: a task
    works on a document once, so that its batches only ever grow.
    """
    known, now = _batches(before), _batches(after)
    new = now[len(known) :] if now[: len(known)] == known else now
    usage = NO_USAGE
    for batch in new:
        usage += Usage(batch.calls, batch.tokens_sent, batch.tokens_by_provider, batch.chunks_reused)
    return usage


def _batches(state: DocumentState) -> Sequence[Batch]:
    if type(state) is Indexed or type(state) is Embedded or type(state) is Chunked:
        return state.batches
    if type(state) is Unknown:
        return ()
    match state:
        case Failed() | Cancelled():
            return _batches(state.reached)
        case Removed() | Erased():
            return _batches(state.before)
        case _:
            return ()
