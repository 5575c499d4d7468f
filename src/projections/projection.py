"""What a projection is: a pure fold of events into rows, and the index entries that follow from a row.

Documents fold their own events. Tasks and knowledge bases fold their own events too, and besides count their documents
by difference: what a document was, what it became, and nothing else. Own events and differences commute, so that any
interleaving of documents gives the same row.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from domain.document import DocumentState
from events.envelope import Envelope
from events.ids import DocumentId, StreamKind


class Table(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One kind of row; `name` is part of the key that holds it, `kind` is None for rows that no stream has."""

    name: str
    kind: StreamKind | None


DOCUMENTS = Table("documents", StreamKind.DOCUMENT)
TASKS = Table("tasks", StreamKind.TASK)
KNOWLEDGE_BASES = Table("knowledge_bases", StreamKind.KNOWLEDGE_BASE)
THROUGHPUT = Table("throughput", None)
TABLES = (DOCUMENTS, TASKS, KNOWLEDGE_BASES, THROUGHPUT)


class RowKey(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Names one row."""

    table: Table
    id: str


class IndexEntry(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One row's place in a list: members of an index are read in the order of their text."""

    index: str
    member: str


class Touch(msgspec.Struct, frozen=True, gc=False):
    """What a run of one document's events means to those who count it; all of them under one task.

    `started_at_us` is the first start of a step among them, `updated_at_us` the last event's time.
    """

    document_id: DocumentId
    before: DocumentState
    after: DocumentState
    events: int
    started_at_us: int | None
    updated_at_us: int


R = TypeVar("R")


class Projection(Protocol[R]):
    """Rows of one table. Folding raises VersionGap and ImpossibleEvent."""

    @property
    def table(self) -> Table: ...

    def decode(self, payload: bytes) -> R: ...

    def encode(self, row: R) -> bytes: ...

    def follow(self, row: R | None, envelope: Envelope) -> R:
        """The row after an event of its own stream; the same object where the event is in already."""
        ...

    def entries(self, row_id: str, row: R) -> tuple[IndexEntry, ...]:
        """Every list that the row stands in, once."""
        ...


class CountingProjection(Projection[R], Protocol[R]):
    """Rows that count documents."""

    def count(self, row: R | None, touches: Sequence[Touch]) -> R:
        """The row after changes of its documents."""
        ...


MEMBER_TIME_DIGITS = 16
"""Hex digits of a unix time in µs: enough until the year 585,000."""


def member(at_us: int, row_id: str) -> str:
    """A member that sorts by time, then by id; a row's time never changes, so neither does its place."""
    return f"{at_us:0{MEMBER_TIME_DIGITS}x}:{row_id}"


def row_id_of(index_member: str) -> str:
    """The id within a member."""
    return index_member[MEMBER_TIME_DIGITS + 1 :]
