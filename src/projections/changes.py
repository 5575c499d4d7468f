"""Who watches what: one tailer of all change feeds a process, fanned out to subscriptions in memory.

A blocked read a watcher would cost the server more than the writes do (500 of them: 8 ms an entry). A subscription
keeps the newest state of each row that it has not handed on yet: a slow reader gets fewer, newer states, always the
last one, and one that falls too far behind is told to begin anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog

from domain.status import TaskPhase, TaskStatus
from events.errors import LogUnavailable
from events.ids import StreamKind
from events.seldom import Seldom
from projections.errors import TooManyStreams
from projections.feed import Change, ChangeFeed, FeedEntry, FeedPosition
from projections.projection import TABLES
from projections.rows import Status, decode_row, status_of
from projections.views import ViewStore

WAITING_MAX: Final = 1_000
"""Changed rows that a subscription keeps for its reader; the frames themselves are shared by all subscriptions."""

SUBSCRIPTIONS_MAX: Final = 10_000
"""A process's streams; each costs about 20 kB."""

FEED_ENTRIES_MAX: Final = 100
"""Commits read at once from each partition."""

WAIT_MS: Final = 1_000
RETRY_PAUSE_S: Final = 0.5

log = structlog.get_logger(__name__)

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
    position: FeedPosition
    is_fresh_start: bool


TERMINAL: Final = frozenset({TaskPhase.COMPLETED, TaskPhase.PARTIAL, TaskPhase.FAILED, TaskPhase.CANCELLED})


def frame_of(row_id: str, event: str, status: Status) -> Frame:
    is_end = isinstance(status, TaskStatus) and status.status in TERMINAL
    return Frame(row_id, event, status.version, is_end, _encoder.encode(status))


class Subscription:
    """One watcher's share of the feed; belongs to one reader."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.is_closed = False
        self._waiting: dict[str, Frame] = {}
        self._position = FeedPosition()
        self._is_fresh_start = False
        self._rung = asyncio.Event()

    def offer(self, frame: Frame, position: FeedPosition) -> None:
        self._position = position
        if not self._is_fresh_start:
            self._waiting.pop(frame.id, None)
            self._waiting[frame.id] = frame
            if len(self._waiting) > WAITING_MAX:
                self.start_afresh()
        self._rung.set()

    def start_afresh(self) -> None:
        self._waiting.clear()
        self._is_fresh_start = True
        self._rung.set()

    def close(self) -> None:
        self.is_closed = True
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """True when there is something to take, or the subscription was closed; False when the time is over."""
        try:
            await asyncio.wait_for(self._rung.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def take(self) -> Taken:
        """Everything that waits; what comes later rings again."""
        taken = Taken(tuple(self._waiting.values()), self._position, self._is_fresh_start)
        self._waiting.clear()
        self._is_fresh_start = False
        self._rung.clear()
        return taken


class _Topic:
    """Who watches one task or knowledge base, and the version at which each row was offered last.

    A row is read when its change is, so it may be newer than that change, and the changes up to it bring nothing new.
    """

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.offered: dict[str, int] = {}

    def is_news(self, change: Change) -> bool:
        return change.version > self.offered.get(change.id, -1)

    def offer(self, frame: Frame, position: FeedPosition) -> None:
        self.offered[frame.id] = frame.version
        for subscription in self.subscriptions:
            subscription.offer(frame, position)


class ChangeTailer:
    """Follows the feeds and hands each change to whoever watches its task or knowledge base."""

    def __init__(self, feed: ChangeFeed, views: ViewStore, *, subscriptions_max: int = SUBSCRIPTIONS_MAX) -> None:
        self.feed = feed
        self._views = views
        self._subscriptions_max = subscriptions_max
        self._topics: dict[str, _Topic] = {}
        self._count = 0
        self._positions: dict[int, FeedPosition] = {}
        self._is_over = False

    @property
    def count(self) -> int:
        """Open subscriptions."""
        return self._count

    def has_passed(self, partition: int, position: FeedPosition) -> bool:
        """Whether every change up to a place was offered."""
        return self._positions.get(partition, FeedPosition()) >= position

    @contextmanager
    def watching(self, topic: str) -> Iterator[Subscription]:
        """Changes of one task and its documents, or of one knowledge base. Raises TooManyStreams."""
        if self._count >= self._subscriptions_max:
            raise TooManyStreams(f"{self._count} streams are open, no more are served at a time")
        subscription = Subscription(topic)
        if self._is_over:
            subscription.close()
        watched = self._topics.setdefault(topic, _Topic())
        watched.subscriptions.add(subscription)
        self._count += 1
        try:
            yield subscription
        finally:
            self._count -= 1
            watched.subscriptions.discard(subscription)
            if not watched.subscriptions:
                del self._topics[topic]

    async def run(self, stop: asyncio.Event) -> None:
        """Follows until told to stop, then closes every subscription. What an outage hid is told as a fresh start."""
        told = Seldom()
        try:
            while not stop.is_set():
                try:
                    await self._follow(stop)
                except LogUnavailable as error:
                    if (kept_back := told.due()) is not None:
                        log.warning("change_feed_waits", reason=str(error), kept_back=kept_back)
                    await _pause(stop, RETRY_PAUSE_S)
        finally:
            self._is_over = True
            for subscription in self._all():
                subscription.close()

    async def _follow(self, stop: asyncio.Event) -> None:
        for partition in range(self.feed.partitions):
            self._positions[partition] = await self.feed.feed_end(partition)
        for subscription in self._all():
            subscription.start_afresh()
        while not stop.is_set():
            entries = await self.feed.feed_read(self._positions, limit=FEED_ENTRIES_MAX, wait_ms=WAIT_MS)
            by_partition: dict[int, list[FeedEntry]] = defaultdict(list)
            for entry in entries:
                by_partition[entry.partition].append(entry)
            for partition, found in by_partition.items():
                await self._tell(partition, found)
                self._positions[partition] = found[-1].position

    async def _tell(self, partition: int, entries: Sequence[FeedEntry]) -> None:
        """Reads each watched row once, however many commits changed it and however many watch it."""
        news = {change.id: change for entry in entries for change in entry.changes if self._is_watched_news(change)}
        if not news:
            return
        for row_id, status in (await read_statuses(self._views, partition, news)).items():
            topic = _topic(news[row_id])
            watched = None if topic is None else self._topics.get(topic)
            if watched is not None:
                # What is watched sends its `status`, what belongs to it its own kind.
                event = "status" if row_id == topic else "document"
                watched.offer(frame_of(row_id, event, status), entries[-1].position)

    def _is_watched_news(self, change: Change) -> bool:
        topic = _topic(change)
        watched = None if topic is None else self._topics.get(topic)
        return watched is not None and watched.is_news(change)

    def _all(self) -> list[Subscription]:
        return [one for topic in self._topics.values() for one in topic.subscriptions]


async def read_statuses(views: ViewStore, partition: int, changes: Mapping[str, Change]) -> dict[str, Status]:
    """The present states of changed rows by id, those that exist."""
    statuses: dict[str, Status] = {}
    for table in TABLES:
        ids = [row_id for row_id, change in changes.items() if change.kind is table.kind]
        payloads = await views.rows(partition, table, ids) if ids else []
        for row_id, payload in zip(ids, payloads, strict=True):
            status = None if payload is None else status_of(row_id, decode_row(table, payload))
            if status is not None:
                statuses[row_id] = status
    return statuses


def _topic(change: Change) -> str | None:
    """Where a change is heard: a task and its documents under the task, a knowledge base under itself."""
    return change.knowledge_base_id if change.kind is StreamKind.KNOWLEDGE_BASE else change.task_id


def is_about(change: Change, topic: str) -> bool:
    return _topic(change) == topic


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
