"""Retention: finished tasks leave the views some time after they finished; their histories stay.

A sweep reads the list of finished tasks from its old end and commits the removals like a page of the log: compared,
fenced, in one step. `Checkpoint.retired_before_us` says how far it has come: a rebuild leaves out the very same.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from projections.projection import MEMBER_TIME_DIGITS, TASKS, RowKey
from projections.rows import decode_row
from projections.tasks import FINISHED_INDEX, TaskRow
from projections.views import Page, ViewStore

SWEEP_TASKS: Final = 500
"""Tasks a commit: about 3 ms of server time."""

SWEEP_INTERVAL_US: Final = 60_000_000
"""How much later than its time a task may leave."""


class Retention(msgspec.Struct, frozen=True):
    """How long finished tasks stay in the views (µs), by a clock (unix µs)."""

    keep_us: int
    clock_us: Callable[[], int]


class Expired(msgspec.Struct, frozen=True):
    """Tasks that finished before `before_us`: all of them, unless `is_more`."""

    before_us: int
    tasks: dict[RowKey, TaskRow]
    is_more: bool


async def expired(views: ViewStore, partition: int, before_us: int) -> Expired | None:
    """The tasks of the live views that finished longest ago; None where none finished before."""
    limit = SWEEP_TASKS
    while True:
        page = await views.page(partition, FINISHED_INDEX, TASKS, after=None, limit=limit + 1, newest_first=False)
        rows = _rows_before(page, before_us)
        if len(rows) <= limit:
            return Expired(before_us, {key: row for _, key, row in rows}, False) if rows else None
        # The mark is a time, so those of the same microsecond go together.
        mark_us = rows[-1][0]
        earlier = {key: row for finished_at_us, key, row in rows if finished_at_us < mark_us}
        if earlier:
            return Expired(mark_us, earlier, True)
        limit *= 2


def _rows_before(page: Page, before_us: int) -> list[tuple[int, RowKey, TaskRow]]:
    found = []
    for indexed in page.rows:
        finished_at_us = int(indexed.member[:MEMBER_TIME_DIGITS], 16)
        row = decode_row(TASKS, indexed.payload)
        if finished_at_us < before_us and isinstance(row, TaskRow):
            found.append((finished_at_us, RowKey(TASKS, indexed.member[MEMBER_TIME_DIGITS + 1 :]), row))
    return found
