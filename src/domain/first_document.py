"""Which of a task's documents a list of tasks names: the first of its request, as far as the log has been read.

Documents come in any order, so the least is kept by an order that does not depend on it. A task that works on documents
of others (a retry, a reindexing) is named by the one with the least id.
"""

from functools import lru_cache
from typing import Final

import msgspec

from domain.document import DocumentState, filename_of
from events.ids import DocumentId, TaskId, document_id

TASKS_CACHED: Final = 4_096
"""Tasks whose first id is at hand: it is a digest, and asked for with every event of their documents."""


class FirstDocument(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The least document so far; its name may become another while it is fetched."""

    document_id: DocumentId
    filename: str


def first_of(task: TaskId, known: FirstDocument | None, document: DocumentId, state: DocumentState) -> FirstDocument:
    """The least of those that were seen, and of one more in its state after an event."""
    if known is not None and _comes_first(task, known.document_id, document):
        return known
    filename = filename_of(state)
    if known is not None and (known.document_id, known.filename) == (document, filename):
        return known
    return FirstDocument(document, filename)


def _comes_first(task: TaskId, one: DocumentId, other: DocumentId) -> bool:
    """The first of the request comes before all others, which lie in the order of their ids."""
    if one == other:
        return False
    first = _first_id(task)
    return one == first or (other != first and one < other)


@lru_cache(TASKS_CACHED)
def _first_id(task: TaskId) -> DocumentId:
    return document_id(task, 0)
