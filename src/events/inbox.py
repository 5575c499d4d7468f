"""Inboxes: pointers to the events that a step has to react to, handed to one consumer at a time."""

from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

import msgspec

from events.envelope import Envelope
from events.ids import EventId, KnowledgeBaseId
from events.steps import Lane, Step

RELEASED: Final = "released"
"""The consumer that holds what was given back; never a process's name."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pointer in the hands of one consumer.

    `entry_id` is its place in the inbox, `stream_id`/`version`/`event_id` name the event that it points to.
    """

    step: Step
    lane: Lane
    partition: int
    entry_id: str
    stream_id: str
    version: int
    event_id: EventId
    correlation_id: str
    knowledge_base_id: KnowledgeBaseId


class Handed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that was just handed out. `history` are its document's events, all of them, as they were at that
    moment; None where they did not come along, and are to be asked of the log."""

    delivery: Delivery
    history: list[Envelope] | None


class InboxKey(msgspec.Struct, frozen=True):
    """Names one inbox."""

    partition: int
    step: Step
    lane: Lane


class InboxDepth(msgspec.Struct, frozen=True):
    """How much lies in an inbox: `waiting` was given to nobody yet, `pending` is in somebody's hands."""

    waiting: int
    pending: int


class Inbox(Protocol):
    """Consumer names are unique to a process. Raises LogUnavailable and LogFull from every call."""

    async def take(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0) -> list[Delivery]:
        """At most `count` new deliveries, the inboxes emptied in the order given; waits up to `wait_ms` for the first.

        The order is the caller's policy (lanes, fair turns). A call that is cancelled or raises LogUnavailable or
        LogFull may leave deliveries with the consumer: `mine` finds them.
        """
        ...

    async def take_with_histories(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0
    ) -> list[Handed]:
        """As `take`. Documents bring their histories along, read in the same step, so that none is older than its
        delivery; long ones do not, nor those that no longer lie wholly in the log."""
        ...

    async def mine(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int) -> list[Delivery]:
        """What is pending with this very consumer: inbox by inbox in the order given, oldest first in each.

        Read at start, and after a take or claim that was cancelled or raised LogUnavailable or LogFull.
        """
        ...

    def acknowledge(self, delivery: Delivery) -> Awaitable[None]:
        """Takes out a delivery that leads to no event (the work was done, or nobody wants it). Idempotent."""
        ...

    async def release(self, delivery: Delivery, *, consumer: str) -> None:
        """Gives a delivery back: anybody may claim it at once. What is in another's hands by now stays there."""
        ...

    async def beat(self, consumer: str) -> None:
        """Says that the consumer lives. Liveness is this heartbeat, never a lack of progress."""
        ...

    async def leave(self, consumer: str) -> None:
        """Says that the consumer is gone, so that what it holds may be claimed at once."""
        ...

    async def claim_from_dead(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, silent_ms_min: int
    ) -> list[Delivery]:
        """Takes over at most `count` deliveries of consumers whose last heartbeat is older than `silent_ms_min`.

        Time is the store's. Released deliveries count as those of the dead. A consumer that never beat is judged by
        when it last asked the inbox for work.
        """
        ...

    async def due(self) -> list[int]:
        """The partitions in which the time of a timer has come (by the store's clock)."""
        ...

    async def move_due(self, partition: int, *, limit: int = 100) -> int:
        """Moves timers whose time has come (by the store's clock) into their inboxes; answers how many."""
        ...

    async def depth(self, inbox: InboxKey) -> InboxDepth:
        """How much lies in one inbox."""
        ...

    async def depths(self, inboxes: Sequence[InboxKey]) -> list[InboxDepth]:
        """How much lies in each of several inboxes, in the order asked for. One round trip for all."""
        ...

    async def holds(self, inbox: InboxKey, entry_id: str) -> bool:
        """Whether an entry lies in an inbox, given to somebody or not."""
        ...

    async def backlog(self) -> int:
        """How many deliveries lie in all inboxes, given to somebody or not."""
        ...
