"""Where deliveries are kept: in the partition of the fact that they tell of, in one slot with the checkpoint.

A dispatcher's checkpoint and the deliveries that follow from what it read are put in one compared call. Whoever
takes a partition over gets a higher token, which fences off whoever had it before.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from events.envelope import Position
from webhooks.delivery import Channel, Delivery, DeliveryId, DeliveryState


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition's log has been looked at. `is_caught_up`: it was, once, looked at to its end; only from then
    on may events be skipped where nobody is to be told of any."""

    position: Position | None = None
    is_caught_up: bool = False


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The right to dispatch and send what is in a partition, until somebody else gets a higher token."""

    partition: int
    token: int
    checkpoint: Checkpoint


class Due(msgspec.Struct, frozen=True):
    """Channels with something to send now, the longest overdue first."""

    channels: tuple[Channel, ...]


class DeliveryPage(msgspec.Struct, frozen=True):
    """A part of a channel's list, newest first; `total` is the length of the whole list."""

    deliveries: tuple[Delivery, ...]
    total: int


class DeliveryStore(Protocol):
    """Raises LogUnavailable and LogFull from every call. Time is the store's."""

    @property
    def partitions(self) -> int: ...

    async def take_over(self, partition: int) -> Hold:
        """Whoever held the partition before can put and record nothing any more."""
        ...

    async def put(self, hold: Hold, checkpoint: Checkpoint, deliveries: Sequence[Delivery]) -> Hold | None:
        """Moves the checkpoint and keeps the deliveries, pending ones due at once; None where the hold is lost.

        One that is kept already stays as it is. Repeating a call that took effect answers as the first time.
        """
        ...

    async def add(self, delivery: Delivery) -> Delivery:
        """Keeps one that no fact led to, due at once; answers the one that is kept under this id, if there is one."""
        ...

    async def due(self, partition: int, *, limit: int) -> Due: ...

    async def next_due(self, partition: int, channel: Channel, *, limit: int) -> list[Delivery]:
        """What is due on one channel, the longest overdue first."""
        ...

    async def change(
        self, before: Delivery, after: Delivery, *, delay_ms: int | None, hold: Hold | None = None
    ) -> bool:
        """Replaces a delivery as it was seen; due in `delay_ms`, or never. False and nothing where it is another by
        now, or the hold is lost. Repeating a change that took effect answers True."""
        ...

    async def find(self, delivery: DeliveryId) -> Delivery | None: ...

    async def page(
        self, channel: Channel, states: Sequence[DeliveryState], *, before: str | None, limit: int
    ) -> DeliveryPage:
        """Those in one of the states, of all partitions, older than the member `before` (None: from the newest)."""
        ...

    async def channels(self, partition: int) -> list[Channel]:
        """Every channel of which the partition keeps a delivery."""
        ...

    async def counts(self, partition: int, channels: Sequence[Channel]) -> list[Mapping[DeliveryState, int]]:
        """How many deliveries each has, by state."""
        ...

    async def oldest(
        self, partition: int, channel: Channel, state: DeliveryState, *, before_us: int, limit: int
    ) -> list[Delivery]:
        """Those made before a time (unix µs), the oldest first."""
        ...

    async def forget(self, deliveries: Sequence[Delivery]) -> int:
        """Deletes deliveries of one partition and one channel that are still as they were seen; answers how many."""
        ...
