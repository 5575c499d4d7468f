"""One watcher's share of the changes: the newest state of each row that it has not handed on yet, bounded."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from domain.status import TaskPhase, TaskStatus
from projections.bell import Bell
from projections.places import Place
from projections.rows import Status

WAITING_MAX: Final = 256
"""Changed rows that a subscription keeps for its reader."""

WAITING_BYTES_MAX: Final = 262_144
"""Their bytes; the frames themselves are shared by all subscriptions of a topic."""

AT_ONCE_BYTES_MAX: Final = 16_384
"""News that are told at once, as much as a stream sends at a time: behind each such part its reader is waited for."""

TERMINAL: Final = frozenset({TaskPhase.COMPLETED, TaskPhase.PARTIAL, TaskPhase.FAILED, TaskPhase.CANCELLED})

_encoder = msgspec.json.Encoder()


class Frame(msgspec.Struct, frozen=True):
    """One state as it is sent: the same JSON that GET answers. `is_end`: nothing changes any more."""

    id: str
    event: str
    version: int
    is_end: bool
    data: bytes


class Shared(NamedTuple):
    """What was written of news for the watchers that stood at `before`, and where that leads them."""

    before: Place
    behind: Place
    written: bytes


class News:
    """What was read of a topic in one turn, told to all of its watchers; `own` is the state of the topic itself, the
    last of the frames. Watchers that stand at the same place are sent the same bytes: the first of them leaves what it
    made in `shared`. `at_s` is a time of the event loop.
    """

    __slots__ = ("at_s", "frames", "is_short", "own", "shared")

    def __init__(self, topic: str, frames: Sequence[Frame], at_s: float) -> None:
        self.own = next((frame for frame in frames if frame.id == topic), None)
        others = [frame for frame in frames if frame.id != topic]
        self.frames: Sequence[Frame] = others if self.own is None else [*others, self.own]
        self.is_short = sum(len(frame.data) for frame in frames) <= AT_ONCE_BYTES_MAX
        self.at_s = at_s
        self.shared: Shared | None = None


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
        self._tell_at_once: Callable[[News], bool] | None = None

    def listen(self, tell_at_once: Callable[[News], bool]) -> None:
        """Called with news that come while the reader waits for them; answers whether it has handed them on, so that
        the reader sleeps on. Waking it is most of what telling it costs."""
        self._tell_at_once = tell_at_once

    def tell(self, news: News) -> None:
        # Whoever waits was not rung for, so nothing else is there to be taken first.
        if self._tell_at_once is not None and self._bell.is_awaited and self._is_handed_on(self._tell_at_once, news):
            self._bell.put_off(news.at_s)
            return
        for frame in news.frames:
            self.offer(frame)

    def _is_handed_on(self, tell_at_once: Callable[[News], bool], news: News) -> bool:
        try:
            return tell_at_once(news)
        except Exception as error:
            # One watcher that goes wrong must not leave all others without news; its reader meets the same error.
            context = {"message": "a watcher could not be told at once", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return False

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
        self._tell_at_once = None
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
