"""Where a log lacks events that were in it: what lies behind them is folded by nobody, so the views stand still there.

Appends give each event the next number. This program takes events away from a log's beginning only, and says how far.
Whatever is missing further on was deleted by somebody else, or lost by a server that kept what came later.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.envelope import Envelope
from events.errors import EntriesArchived
from events.log import EventLog, Unreadable
from projections.on_demand import gathered
from projections.views import Checkpoint, ViewStore

ADVICE: Final = (
    'put back a copy of Redis that has them, and the views go on by themselves (docs/recovery.md, "The log has a hole")'
)

FOREIGN_MAX: Final = 100
"""Entries without a number that are looked past; somebody else put them there."""

Page = Sequence[Envelope | Unreadable]


class Hole(msgspec.Struct, frozen=True):
    """The events with the numbers `first` to `last` are not in the partition's log."""

    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        which = f"event {self.first:,} is" if self.first == self.last else f"events {self.first:,} to {self.last:,} are"
        return f"{which} missing from the log of partition {self.partition}: the views stand still before that"


def dense_part(page: Page, number: int) -> Page:
    """What follows the event with that number without a gap; all of it, but for a log with a hole."""
    if page and page[-1].number == number + len(page):
        return page
    for place, entry in enumerate(page):
        if entry.number and entry.number != number + 1:
            return page[:place]
        number = entry.number or number
    return page


def hole_before(page: Page, partition: int, behind: Checkpoint) -> Hole | None:
    """What is missing between the views and a page."""
    first = next((entry.number for entry in page if entry.number), behind.number + 1)
    return Hole(partition, behind.number + 1, first - 1) if first > behind.number + 1 else None


async def holes(event_log: EventLog, views: ViewStore) -> list[Hole]:
    """Those that live views stand before. Raises LogUnavailable."""
    found = await gathered(range(views.partitions), lambda one: _hole(event_log, views, one))
    return [hole for hole in found if hole is not None]


async def _hole(event_log: EventLog, views: ViewStore, partition: int) -> Hole | None:
    behind = await views.checkpoint(partition)
    head = await event_log.head(partition)
    if head.number <= behind.number:
        return None
    try:
        page = await event_log.read(partition, after=behind.position, limit=FOREIGN_MAX)
    except EntriesArchived:
        return None  # a log without its archive has nothing to say of what was there
    if not page:
        return Hole(partition, behind.number + 1, head.number)
    return hole_before(page, partition, behind)
