"""What must hold for the views after every commit: they are the fold of the log at their checkpoint, and add up."""

from collections.abc import AsyncIterator
from typing import TypeVar

from events.envelope import Position
from events.ids import TaskId
from events.memory import MemoryLog
from projections import tasks
from projections.memory_views import MemoryViews
from projections.projection import TABLES, RowKey
from projections.rows import decode_row, encode_row
from projections.tasks import TaskRow
from tests.projecting import Rows
from tests.simulation.wire import at_once

T = TypeVar("T")


class Reference:
    """The fold of one partition's log, event by event, as far as `number`."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.number = 0
        self.position: Position | None = None
        self.encoded: dict[RowKey, bytes] = {}


class ViewChecks:
    """One for each world. Raises AssertionError."""

    def __init__(self, log: MemoryLog, views: MemoryViews) -> None:
        self._log = log
        self._views = views
        self._references: dict[tuple[int, int], Reference] = {}
        self.commits = 0

    def committed(self, partition: int, generation: int) -> None:
        checkpoint = at_once(self._views.checkpoint(partition, generation))
        known = self._references.get((partition, generation))
        if known is None or checkpoint.number < known.number:  # a rebuild that was begun anew
            known = self._references[partition, generation] = Reference()
        changed = self._advance(known, partition, checkpoint.number)
        stored = {
            RowKey(table, row_id): payload
            for table in TABLES
            for row_id, payload in at_once(_all(self._views.scan_rows(partition, generation, table)))
        }
        place = f"generation {generation} of partition {partition} at event {checkpoint.number}"
        for key in stored.keys() | known.encoded.keys():
            assert stored.get(key) == known.encoded.get(key), f"{place}: row {key.id} is not the fold of the log"
        lists = {
            (index, member)
            for index, members in at_once(_all(self._views.scan_indexes(partition, generation)))
            for member in members
        }
        expected = {(entry.index, entry.member) for entry in known.rows.entries}
        assert lists == expected, f"{place}: the lists differ in {sorted(lists ^ expected)}"
        for key in changed:
            _add_up(key, stored[key])
        self.commits += 1

    def _advance(self, known: Reference, partition: int, number: int) -> set[RowKey]:
        changed: set[RowKey] = set()
        page = at_once(self._log.read(partition, after=known.position, limit=number - known.number))
        for entry in page:
            folding = known.rows.fold([entry])
            changed |= folding.rows.keys()
            for key, row in folding.rows.items():
                known.encoded[key] = encode_row(row)
            known.position = entry.position
        known.number = number
        assert known.rows.refused == 0, "an event could not follow what its stream held before"
        return changed


def _add_up(key: RowKey, payload: bytes) -> None:
    row = decode_row(key.table, payload)
    if isinstance(row, TaskRow):
        status = tasks.status_of(TaskId(key.id), row)
        if status is not None:
            seen = status.documents
            parts = (seen.queued, seen.processing, seen.completed, seen.failed, seen.cancelled, seen.skipped)
            assert min(parts) >= 0, f"{key.id} counts less than nothing: {seen}"
            assert sum(parts) == seen.total, f"the counts of {key.id} do not add up: {seen}"


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [one async for one in found]
