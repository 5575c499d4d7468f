"""An event plus what the log knows of it."""

from enum import StrEnum
from typing import Self

import msgspec

from events.document import DocumentEvent
from events.errors import InvalidId
from events.ids import EventId
from events.knowledge_base import KnowledgeBaseEvent
from events.task import TaskEvent


class UnknownReason(StrEnum):
    """Why a well-formed event could not be read."""

    UNKNOWN_TYPE = "unknown_type"
    NEWER_VERSION = "newer_version"


class UnknownEvent(msgspec.Struct, frozen=True):
    """A fact written by a newer program: it takes its place in the stream and changes nothing but a count."""

    type: str
    schema_version: int
    reason: UnknownReason


Fact = DocumentEvent | TaskEvent | KnowledgeBaseEvent
Event = Fact | UnknownEvent


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in one partition's log: the epoch (raised when a fail-over may have lost entries) and the entry's id.

    Its text form is `<epoch>-<ms>-<sequence>`.
    """

    epoch: int
    ms: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.ms}-{self.sequence}"

    @property
    def entry_id(self) -> str:
        """The Redis stream id."""
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def of_entry(cls, epoch: int, entry_id: str) -> Self:
        """From a Redis stream id. Raises InvalidId."""
        return cls.parse(f"{epoch}-{entry_id}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidId."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts):
            raise InvalidId("a position has the form epoch-ms-sequence")
        return cls(*map(int, parts))


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One event in its stream. `version` counts the stream's events from 1, `recorded_at_us` is the writer's (UTC, µs).
    Fields are named wherever one is made, but for the codec: eleven names cost it a twentieth.

    `position` and `number` (dense within the partition, for finding gaps) are None until the log has given them.
    `correlation_id` is the task (for knowledge-base events the knowledge base), `causation_id` the event that led here.
    """

    event_id: EventId
    stream_id: str
    version: int
    event: Event
    recorded_at_us: int
    correlation_id: str
    causation_id: EventId | None = None
    actor: str | None = None
    trace_parent: str | None = None
    position: Position | None = None
    number: int | None = None

    @property
    def type(self) -> str:
        """The name of the fact."""
        return self.event.type if isinstance(self.event, UnknownEvent) else type(self.event).__name__
