"""What a store keeps of a partition that follows from its log alone: pointers, timers, dead letters, tallies, claims.

Appends keep all of it. Where a store lost it, it is made anew from the facts, while appends and workers go on: whatever
is put names the stream and the version that it follows from, and is refused once that stream has moved on, because the
append that moved it has put what follows from there.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from events.digests import Claims, DigestKey
from events.ids import KnowledgeBaseId, TaskId
from events.log import Tally
from events.pointer import Pointer
from events.steps import Lane, Step

GUARDED_MAX: Final = 500
"""Things put in one call: about 2 ms of the server's time."""


class Errand(NamedTuple):
    """What makes two pointers the same work: the event that calls for it; for a task's end the task."""

    step: Step
    stream_id: str
    version: int


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer that has to lie in an inbox, or with `due_at_ms` among the timers, while `guard` stands at a version.

    `may_be_done`: the log does not tell whether this was carried out; doing it again harms nothing.
    """

    step: Step
    lane: Lane
    pointer: Pointer
    guard: str
    guard_version: int
    due_at_ms: int | None = None
    may_be_done: bool = False

    @property
    def errand(self) -> Errand:
        return errand_of(self.step, self.pointer)


class DeadLetterChange(msgspec.Struct, frozen=True):
    """A stream that belongs among the dead letters since a time (unix ms), or with None does not, at a version."""

    stream_id: str
    version: int
    failed_at_ms: int | None


class TalliesAt(msgspec.Struct, frozen=True):
    """Tallies as they are kept, None for a task that has none; all as of the event with that dense number."""

    number: int
    tallies: tuple[Tally | None, ...]


class ClaimsAt(msgspec.Struct, frozen=True):
    """Claims as they are kept, empty for a digest that nobody claims; all as of the event with that dense number."""

    number: int
    claims: tuple[Claims, ...]


def errand_of(step: Step, pointer: Pointer) -> Errand:
    """The work that a pointer in the inbox of a step stands for."""
    if step is Step.FINISH:
        return Errand(step, pointer.correlation_id, 0)
    return Errand(step, pointer.stream_id, pointer.version)


class DerivedStore(Protocol):
    """Raises LogUnavailable and LogFull from every call."""

    async def errands(self, partition: int) -> set[Errand]:
        """Everything that lies in an inbox, in somebody's hands or among the timers.

        What moves from the timers into an inbox meanwhile is in the answer.
        """
        ...

    async def put(self, partition: int, owed: Sequence[Owed]) -> list[bool]:
        """Puts pointers, `GUARDED_MAX` at most; False for each whose guard stands at another version."""
        ...

    async def dead_letters(self, partition: int) -> dict[str, int]:
        """Streams among the dead letters, with the time of their failure (unix ms)."""
        ...

    async def change_dead_letters(self, partition: int, changes: Sequence[DeadLetterChange]) -> list[bool]:
        """Puts and takes away, `GUARDED_MAX` at most; False for each stream that stands at another version."""
        ...

    async def tallies(self, partition: int, tasks: Sequence[TaskId]) -> TalliesAt:
        """The tallies of some tasks, all as of one moment."""
        ...

    async def set_tallies(self, partition: int, number: int, tallies: Mapping[TaskId, Tally]) -> bool:
        """Sets tallies, `GUARDED_MAX` at most; False and nothing where the log has gone on behind `number`."""
        ...

    async def digests(self, knowledge_base: KnowledgeBaseId) -> dict[bytes, Claims]:
        """Every digest that is claimed in a knowledge base. What changes meanwhile may be in the answer or not."""
        ...

    async def claims(self, partition: int, digests: Sequence[DigestKey]) -> ClaimsAt:
        """What is claimed of some digests, all as of one moment."""
        ...

    async def set_claims(self, partition: int, number: int, claims: Mapping[DigestKey, Claims]) -> bool:
        """Sets claims (empty: none), `GUARDED_MAX` at most; False and nothing where the log has gone on behind
        `number`."""
        ...
