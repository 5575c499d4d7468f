"""Where a task's or a knowledge base's documents are, by difference.

The counts after a change are the counts before plus a difference that only the changed document makes, so that a task
of 10,000 files costs no more per event than a task of one. Sums of integers, so that any order gives the same.
"""

from enum import StrEnum
from itertools import product
from typing import Final, assert_never

import msgspec

from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Open,
    Parsed,
    Queued,
    Removed,
    Requested,
    Skipped,
    Unknown,
    is_open,
    is_recorded,
    record_of,
)
from events.ids import TaskId
from events.log import Tally, TallyChange

PROGRESS_WHOLE = 1_000
"""Progress is counted in thousandths: integers add up to the same in any order, floats do not."""


class DocumentCategory(StrEnum):
    """What a document counts as."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many documents count as what; `progress` is the sum of their thousandths."""

    queued: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    progress: int = 0

    @property
    def documents(self) -> int:
        return self.queued + self.processing + self.completed + self.failed + self.cancelled + self.skipped

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.queued + other.queued,
            self.processing + other.processing,
            self.completed + other.completed,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            self.skipped + other.skipped,
            self.progress + other.progress,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.queued - other.queued,
            self.processing - other.processing,
            self.completed - other.completed,
            self.failed - other.failed,
            self.cancelled - other.cancelled,
            self.skipped - other.skipped,
            self.progress - other.progress,
        )


_NONE: Final = Counts()
_SHARE: Final = {category: Counts(**{category.value: 1}) for category in DocumentCategory}
_WHOLE: Final = {category: Counts(**{category.value: 1}, progress=PROGRESS_WHOLE) for category in DocumentCategory}
_ENDED_AS: Final[dict[type[DocumentState], DocumentCategory]] = {
    Indexed: DocumentCategory.COMPLETED,
    Failed: DocumentCategory.FAILED,
    Cancelled: DocumentCategory.CANCELLED,
    Skipped: DocumentCategory.SKIPPED,
}


def category_of(state: DocumentState) -> DocumentCategory | None:
    """None for a document that does not exist. A removed one keeps counting as what it was when it ended."""
    if is_open(state):
        return DocumentCategory.PROCESSING if _has_begun(state) else DocumentCategory.QUEUED
    ended = _ENDED_AS.get(type(state))
    if type(state) is Removed or type(state) is Erased:
        return category_of(state.before)
    return ended


def task_of(state: DocumentState) -> TaskId | None:
    """The task that the document counts for."""
    if type(state) is Unknown:
        return None
    if is_recorded(state):
        return record_of(state).about.task_id
    match state:
        case Skipped():
            return state.task_id
        case Removed() | Erased():
            return task_of(state.before)
        case _:
            return None


def progress_of(state: DocumentState) -> int:
    """How far a document has come, in thousandths: the text is a fifth, embedding more than half, counted by chunks."""
    match state:
        case Unknown() | Requested() | Accepted():
            return 0
        case Parsed():
            return 200
        case Chunked():
            return 300 + 600 * state.chunks_embedded // max(state.chunks.chunks, 1)
        case Embedded():
            return 900
        case Indexed() | Skipped():
            return PROGRESS_WHOLE
        case Failed() | Cancelled():
            return progress_of(state.reached)
        case Removed() | Erased():
            return progress_of(state.before)
        case _:
            assert_never(state)


def counts_of(state: DocumentState) -> Counts:
    """One document's share of the counts; whatever has ended is whole."""
    category = category_of(state)
    if category is None:
        return _NONE
    if category is DocumentCategory.QUEUED:
        return _SHARE[category]  # nothing of it is done, so its progress is 0
    if category is DocumentCategory.PROCESSING:
        return msgspec.structs.replace(_SHARE[category], progress=progress_of(state))
    return _WHOLE[category]


def differences(before: DocumentState, after: DocumentState) -> dict[TaskId, Counts]:
    """What a change of one document does to the counts of its task; to those of two tasks where it changes hands.

    A task that worked on a document before keeps the count that it ended with.
    """
    left, entered = task_of(before), task_of(after)
    if entered is None:
        return {}
    if left != entered:
        return {entered: counts_of(after)}
    change = counts_of(after) - counts_of(before)
    return {entered: change} if change != _NONE else {}


def tally_changes(before: DocumentState, after: DocumentState) -> tuple[TallyChange, ...]:
    """The same difference as the log keeps it: only whether documents are open, and how they ended."""
    if is_open(before) and is_open(after) and before.record.about is after.record.about:
        return ()  # nine facts of ten: open before and behind, and in the same hands
    entered = task_of(after)
    if entered is None:
        return ()
    was = category_of(before) if task_of(before) == entered else None
    change = _TALLY_OF_CHANGE[was, category_of(after)]
    return () if change is None else (TallyChange(entered, change),)


def _tally_of_change(was: DocumentCategory | None, now: DocumentCategory | None) -> Tally | None:
    counts = (_NONE if now is None else _SHARE[now]) - (_NONE if was is None else _SHARE[was])
    tally = Tally(
        open_documents=counts.queued + counts.processing,
        succeeded=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        skipped=counts.skipped,
    )
    return None if tally == Tally() else tally


_TALLY_OF_CHANGE: Final = {
    (was, now): _tally_of_change(was, now) for was, now in product((None, *DocumentCategory), repeat=2)
}
"""None where the log keeps both alike: nine facts of ten, as a step has begun, or is done."""


def _has_begun(state: Open) -> bool:
    if type(state) is not Accepted and type(state) is not Requested:
        return True
    return state.activity.is_under_way if type(state.activity) is Queued else True
