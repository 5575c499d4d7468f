"""The log as its archive tells it: segments are read even where the log still holds the same events."""

from events.envelope import Envelope, Position
from events.log import Unreadable
from projections.history import ArchivedLog


class ArchiveFirst(ArchivedLog):
    """For replays that show what the archive alone is worth."""

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        found = await self.archive.read(partition, after=after, limit=limit)
        return found or await super().read(partition, after=after, limit=limit, wait_ms=wait_ms)
