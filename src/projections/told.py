"""What the beginning of a stream has told, for as long as the tailer may offer it once more.

While a stream begins, the tailer may offer states that were read before those already told. What the projector had not
reached was folded from the log and is ahead of the views: the place where all that is over is known once they have come
as far as the log had then.
"""

from collections.abc import Sequence

from projections.changes import ChangeTailer
from projections.feed import FeedPosition
from projections.on_demand import gathered
from projections.queries import Queries
from projections.subscription import Frame


class Told:
    """`versions` by row, None when there is nothing to remember any more."""

    def __init__(self, queries: Queries, tailer: ChangeTailer, partitions: Sequence[int]) -> None:
        self._queries = queries
        self._tailer = tailer
        self._partitions = partitions
        self.versions: dict[str, int] | None = None
        self._from_log: dict[int, int] = {}
        self._until: dict[int, FeedPosition] | None = None

    def begin(self) -> None:
        self.versions = {}

    def add(self, frames: Sequence[Frame]) -> None:
        """What has no version is no row's state."""
        if self.versions is not None:
            self.versions.update((frame.id, frame.version) for frame in frames if frame.version)

    def version(self, row_id: str) -> int:
        return -1 if self.versions is None else self.versions.get(row_id, -1)

    async def close(self) -> bool:
        """Nothing is added any more. Answers whether there may be states told that no feed names yet."""
        ends = await gathered(self._partitions, self._queries.log_end)
        self._from_log = dict(zip(self._partitions, ends, strict=True))
        self._until = None
        return not await self._have_views_all()

    async def forget(self) -> None:
        """Where the time has come."""
        if self.versions is None:
            return
        if self._until is None:
            if not await self._have_views_all():
                return
            ends = await gathered(self._partitions, self._tailer.feed_end)
            self._until = dict(zip(self._partitions, ends, strict=True))
        if all(self._tailer.has_passed(partition, end) for partition, end in self._until.items()):
            self.versions = None

    async def _have_views_all(self) -> bool:
        async def reached(place: tuple[int, int]) -> bool:
            return await self._queries.have_views_reached(*place)

        return all(await gathered(list(self._from_log.items()), reached))
