"""What is watched by who watches everything: each task and knowledge base, not each document.

The beginning is bounded, as an installation may hold millions of tasks: what is still open, and the newest knowledge
bases. `snapshot` says whether that was all; where it was not, and for what has ended, there are the lists.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from domain.access import Bound
from domain.status import TaskPhase
from domain.task_status import TaskStatus
from events.ids import partition_of
from projections.changes import EVERYTHING, everything_within
from projections.lists import LIMIT_MAX, Lists
from projections.subscription import Frame, frame_of

OPEN_TASKS_MAX: Final = 1_000
"""Told at a beginning, of each phase: about 600 kB."""

OPEN_PHASES: Final = (TaskPhase.QUEUED, TaskPhase.PROCESSING)
"""In this order: a task that goes on meanwhile is told twice rather than not at all."""

_encoder = msgspec.json.Encoder()


class Snapshot(msgspec.Struct, frozen=True):
    """`open_tasks` that there are; `is_whole`: all of them and all knowledge bases follow."""

    open_tasks: int
    is_whole: bool


class WatchedEverything:
    """Subject of `GET /stream`; `bound` to what may be seen of it."""

    def __init__(self, lists: Lists, partitions: int, bound: Bound = None) -> None:
        self._lists = lists
        self._bound = bound
        self._partitions: Sequence[int] = range(partitions)
        if bound is not None:
            self._partitions = sorted(one for one in set(map(partition_of, bound)) if one < partitions)

    @property
    def topic(self) -> str:
        return everything_within(self._bound)

    @property
    def partitions(self) -> Sequence[int]:
        return self._partitions

    async def present(self) -> None:
        return None

    async def beginning(self) -> AsyncIterator[Sequence[Frame]]:
        bases = await self._lists.knowledge_bases(bound=self._bound, limit=LIMIT_MAX)
        totals = [
            (await self._lists.tasks(phase=phase, bound=self._bound, limit=1)).total or 0 for phase in OPEN_PHASES
        ]
        is_whole = bases.next_cursor is None and max(totals) <= OPEN_TASKS_MAX
        data = _encoder.encode(Snapshot(open_tasks=sum(totals), is_whole=is_whole))
        snapshot = Frame(EVERYTHING, "snapshot", 0, False, data)
        yield [snapshot, *(frame_of(one.knowledge_base_id, "knowledge_base", one) for one in bases.data)]
        for phase in OPEN_PHASES:
            async for part in self._tasks(phase):
                yield [frame_of(one.task_id, "task", one) for one in part]

    async def _tasks(self, phase: TaskPhase) -> AsyncIterator[Sequence[TaskStatus]]:
        cursor: str | None = None
        for _ in range(OPEN_TASKS_MAX // LIMIT_MAX):
            listing = await self._lists.tasks(phase=phase, bound=self._bound, limit=LIMIT_MAX, cursor=cursor)
            if listing.data:
                yield listing.data
            cursor = listing.next_cursor
            if cursor is None:
                return
