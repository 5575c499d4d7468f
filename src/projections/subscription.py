"""One watcher's share of the changes: the newest state of each row that it has not handed on yet, bounded."""

from collections.abc import Mapping
from typing import Final

import msgspec

from domain.status import TaskPhase, TaskStatus
from projections.bell import Bell
from projections.rows import Status

WAITING_MAX: Final = 256
"""Changed rows that a subscription keeps for its reader."""

WAITING_BYTES_MAX: Final = 262_144
"""Their bytes; the frames themselves are shared by all subscriptions of a topic."""

TERMINAL: Final = frozenset({TaskPhase.COMPLETED, TaskPhase.PARTIAL, TaskPhase.FAILED, TaskPhase.CANCELLED})

_encoder = msgspec.json.Encoder()


class Frame(msgspec.Struct, frozen=True):
    """One state as it is sent: the same JSON that GET answers. `is_end`: nothing changes any more."""

    id: str
    event: str
    version: int
    is_end: bool
    data: bytes


class Taken(msgspec.Struct, frozen=True):
    """What had gathered. `is_fresh_start`: too much did; the reader begins with the present state."""

    frames: tuple[Frame, ...]
    is_fresh_start: bool


def frame_of(row_id: str, event: str, status: Status) -> Frame:
    is_end = isinstance(status, TaskStatus) and status.status in TERMINAL
    return Frame(row_id, event, status.version, is_end, _encoder.encode(status))


class Subscription:
    """Belongs to one reader. `ahead` is its topic's: the rows, by mark, offered newer than the feeds were read."""

    def __init__(self, topic: str, ahead: Mapping[str, int]) -> None:
        self.topic = topic
        self.ahead = ahead
        self.is_closed = False
        self._waiting: dict[str, Frame] = {}
        self._waiting_bytes = 0
        self._is_fresh_start = False
        self._bell = Bell()

    def offer(self, frame: Frame) -> None:
        if not self._is_fresh_start:
            older = self._waiting.pop(frame.id, None)
            self._waiting[frame.id] = frame
            self._waiting_bytes += len(frame.data) - (0 if older is None else len(older.data))
            if len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
                self.start_afresh()
        self._bell.ring()

    def start_afresh(self) -> None:
        self._clear()
        self._is_fresh_start = True
        self._bell.ring()

    def close(self) -> None:
        self.is_closed = True
        self._bell.ring()

    def leave(self) -> None:
        """The reader is gone, and waits no more."""
        self._bell.leave()

    async def wait(self, timeout_s: float) -> bool:
        """True when there is something to take, or the subscription was closed; False when the time is over."""
        return await self._bell.wait(timeout_s)

    def take(self) -> Taken:
        """Everything that waits; what comes later rings again."""
        taken = Taken(tuple(self._waiting.values()), self._is_fresh_start)
        self._clear()
        self._is_fresh_start = False
        self._bell.still()
        return taken

    def _clear(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
