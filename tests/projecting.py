"""Projections in memory, one page at a time, for tests of folds."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from events.envelope import Envelope
from events.log import EventLog, Unreadable
from projections.batch import Batch, Folding
from projections.projection import IndexEntry, RowKey
from projections.projector import Projector
from projections.rows import Row, encode_row
from projections.views import ViewStore


class Rows:
    """What folding page after page leads to, and the lists that its index changes make."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, Row] = {}
        self.entries: set[IndexEntry] = set()
        self.unknown = self.unreadable = self.refused = 0

    def fold(self, page: Sequence[Envelope | Unreadable]) -> Folding:
        batch = Batch(page)
        batch.fold_documents({key: self.rows.get(key) for key in batch.first_keys()})
        folding = batch.fold_counts({key: self.rows.get(key) for key in batch.second_keys()})
        self.rows.update(folding.rows)
        for key in folding.removed:
            del self.rows[key]
        for change in folding.indexes:
            gone = {IndexEntry(change.index, member) for member in change.removed}
            assert gone <= self.entries
            self.entries = (self.entries - gone) | {IndexEntry(change.index, member) for member in change.added}
        self.unknown += folding.unknown
        self.unreadable += folding.unreadable
        self.refused += folding.refused
        return folding

    def fold_pages(self, pages: Iterable[Sequence[Envelope]]) -> "Rows":
        for page in pages:
            self.fold(page)
        return self

    def encoded(self) -> dict[RowKey, bytes]:
        return {key: encode_row(row) for key, row in self.rows.items()}


def pages_of(events: Sequence[Envelope], cuts: Iterable[int]) -> list[Sequence[Envelope]]:
    """The events cut into pages at the places given."""
    places = [0, *sorted({cut % (len(events) + 1) for cut in cuts}), len(events)]
    return [events[start:end] for start, end in pairwise(places) if start < end]


async def project(event_log: EventLog, views: ViewStore, *, holder: str = "test") -> None:
    """Everything that is in the log now."""
    for partition in range(event_log.partitions):
        projector = Projector(event_log, views, partition=partition, holder=holder)
        while await projector.advance():
            pass
