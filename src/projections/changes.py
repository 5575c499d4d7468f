"""Who watches what: one tailer of all change feeds a process, fanned out to subscriptions in memory.

A blocked read a watcher would cost the server more than the writes do (500 of them: 8 ms an entry). A subscription
keeps the newest state of each row that it has not handed on yet: a slow reader gets fewer, newer states, always the
last one, and one that falls too far behind is told to begin anew.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from domain.access import Bound
from events.errors import LogUnavailable
from events.ids import StreamKind, TaskId
from events.seldom import Seldom
from projections.errors import TooManyStreams
from projections.feed import Change, ChangeFeed, FeedEntry, FeedPosition
from projections.frames import frame_for, is_early_end, read_statuses
from projections.places import mark_of
from projections.shared_reads import SharedReads
from projections.subscription import Frame, News, Subscription
from projections.views import ViewStore

EVERYTHING: Final = "*"
"""The topic of every task and knowledge base; documents are heard under their task."""


_WITHIN: Final = f"{EVERYTHING}|"


def everything_within(bound: Bound) -> str:
    """The topic of every task and knowledge base that somebody may see."""
    return EVERYTHING if bound is None else _WITHIN + ",".join(sorted(bound))


_ALONE: Final = "="


def by_itself(task: TaskId) -> str:
    """The topic of a task without its documents."""
    return _ALONE + task


SUBSCRIPTIONS_MAX: Final = 10_000
"""A process's streams; each costs about 20 kB."""

FEED_ENTRIES_MAX: Final = 100
"""Commits read at once from each partition."""

WAIT_MS: Final = 1_000
RETRY_PAUSE_S: Final = 0.5

AWAY_S_MAX: Final = 3.0
"""From the begin of a read of the feeds to the end of the next, two waits at most; where it took longer they may have
been trimmed beyond what was read. In this time a partition's feed is not filled: that takes 130,000 changes."""

log = structlog.get_logger(__name__)

OFFERED_MAX: Final = 20_000
"""Rows of a topic whose version is remembered, 150 B each: twice the files of a large task."""


class _Topic:
    """Who watches one task or knowledge base, and the version at which each row was offered last.

    A row is read when its change is, so it may be newer than that change, and the changes up to it bring nothing new:
    until they have come, `ahead` has its version.
    """

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.ahead: dict[str, int] = {}
        self._offered: OrderedDict[str, int] = OrderedDict()

    def is_news(self, change: Change) -> bool:
        return change.version > self._offered.get(change.id, -1)

    def settle(self, change: Change) -> None:
        """The feed has come to this change."""
        if self.ahead and self.ahead.get(mark := mark_of(change.id), change.version + 1) <= change.version:
            del self.ahead[mark]

    def begin_anew(self) -> None:
        """A log that lost its end counts versions of the same rows once more."""
        self.ahead.clear()
        self._offered.clear()

    def note(self, frame: Frame, change: Change) -> None:
        """The frame is told because of this change."""
        self._offered[frame.id] = frame.version
        self._offered.move_to_end(frame.id)
        if len(self._offered) > OFFERED_MAX:
            self._offered.popitem(last=False)
        if frame.version > change.version:
            self.ahead[mark_of(frame.id)] = frame.version

    def tell(self, news: News) -> None:
        for subscription in tuple(self.subscriptions):
            subscription.tell(news)


class ChangeTailer:
    """Follows the feeds and hands each change to whoever watches its task or knowledge base."""

    def __init__(
        self,
        feed: ChangeFeed,
        views: ViewStore,
        *,
        subscriptions_max: int = SUBSCRIPTIONS_MAX,
        clock_s: Callable[[], float] = time.monotonic,
        wait_ms: int = WAIT_MS,
    ) -> None:
        """`wait_ms` is how long a read waits for news, and a stop for that read."""
        self.feed = feed
        self._ends = SharedReads(feed.feed_end)
        self._wait_ms = wait_ms
        self._clock_s = clock_s
        self._read_s = clock_s()
        self._views = views
        self._subscriptions_max = subscriptions_max
        self._topics: dict[str, _Topic] = {}
        self._bound_topics: dict[str, frozenset[str]] = {}
        self._count = 0
        self._positions: dict[int, FeedPosition] = {}
        self._has_begun = False
        self._is_over = False

    @property
    def count(self) -> int:
        """Open subscriptions."""
        return self._count

    def has_passed(self, partition: int, position: FeedPosition) -> bool:
        """Whether every change up to a place was offered."""
        return self.position(partition) >= position

    def position(self, partition: int) -> FeedPosition:
        """Every change up to here was offered; taken together with what waits, it is where that leads to."""
        return self._positions.get(partition, FeedPosition())

    async def feed_end(self, partition: int) -> FeedPosition:
        """Where the feed ends now, which may be ahead of `position`."""
        return await self._ends.of(partition)

    @contextmanager
    def watching(self, topic: str) -> Iterator[Subscription]:
        """Changes of one task and its documents, of a task `by_itself`, of one knowledge base, or of EVERYTHING.
        Raises TooManyStreams."""
        if self._count >= self._subscriptions_max:
            raise TooManyStreams(f"{self._count} streams are open, no more are served at a time")
        watched = self._topics.setdefault(topic, _Topic())
        if (bound := _bound_of(topic)) is not None:
            self._bound_topics[topic] = bound
        subscription = Subscription(topic, watched.ahead)
        if self._is_over:
            subscription.close()
        watched.subscriptions.add(subscription)
        self._count += 1
        try:
            yield subscription
        finally:
            subscription.leave()
            self._count -= 1
            watched.subscriptions.discard(subscription)
            if not watched.subscriptions:
                del self._topics[topic]
                self._bound_topics.pop(topic, None)

    async def begin(self) -> None:
        """Finds the present ends of the feeds: who watches from then on misses nothing, and is told each state once.

        Without this `run` finds them, and whoever watches by then begins anew. Raises LogUnavailable.
        """
        self._positions.update({one: await self.feed.feed_end(one) for one in range(self.feed.partitions)})
        self._has_begun = True

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

    async def _begin_anew(self) -> None:
        ends = {partition: await self.feed.feed_end(partition) for partition in range(self.feed.partitions)}
        # In one turn: a place behind changes that nobody was offered must not be told.
        self._positions.update(ends)
        for topic in self._topics.values():
            topic.begin_anew()
        for subscription in self._all():
            subscription.start_afresh()

    async def _follow(self, stop: asyncio.Event) -> None:
        if not self._has_begun:
            await self._begin_anew()
        self._has_begun = False
        while not stop.is_set():
            begun_s = self._clock_s()
            entries = await self.feed.feed_read(self._positions, limit=FEED_ENTRIES_MAX, wait_ms=self._wait_ms)
            by_partition: dict[int, list[FeedEntry]] = defaultdict(list)
            for entry in entries:
                by_partition[entry.partition].append(entry)
            is_away = self._clock_s() - self._read_s > AWAY_S_MAX
            if any(one.is_break for one in entries) or (is_away and await self._has_missed(by_partition)):
                await self._begin_anew()
                by_partition.clear()
            self._read_s = begun_s
            for partition, found in by_partition.items():
                await self._tell(partition, found)

    async def _has_missed(self, partitions: Iterable[int]) -> bool:
        return not all([await self.feed.feed_reaches(one, self.position(one)) for one in partitions])

    async def _tell(self, partition: int, entries: Sequence[FeedEntry]) -> None:
        """Reads each watched row once, however many commits changed it and however many watch it."""
        changed = {change.id: change for entry in entries for change in entry.changes if self._watched(change)}
        news = {change.id: change for change in changed.values() if self._is_watched_news(change)}
        statuses = await read_statuses(self._views, partition, news) if news else {}
        # From here to the end in one turn, see `position`.
        for change in changed.values():
            for _, topic in self._watched(change):
                topic.settle(change)
        told: dict[str, list[Frame]] = defaultdict(list)
        for row_id, change in news.items():
            for name, topic in self._watched(change):
                frame = frame_for(name, change, statuses.get(row_id))
                if frame is not None and not is_early_end(name, change, frame):
                    topic.note(frame, change)
                    told[name].append(frame)
        self._positions[partition] = entries[-1].position
        now_s = asyncio.get_running_loop().time()
        for name, frames in told.items():
            self._topics[name].tell(News(name, frames, now_s))

    def _is_watched_news(self, change: Change) -> bool:
        return any(topic.is_news(change) for _, topic in self._watched(change))

    def _watched(self, change: Change) -> list[tuple[str, _Topic]]:
        found = [(name, self._topics[name]) for name in _topics(change) if name in self._topics]
        if self._bound_topics and EVERYTHING in _topics(change):
            owner = _owner_of(change)
            found += ((name, self._topics[name]) for name, bound in self._bound_topics.items() if owner in bound)
        return found

    def _all(self) -> list[Subscription]:
        return [one for topic in self._topics.values() for one in topic.subscriptions]


def is_about(change: Change, topic: str) -> bool:
    bound = _bound_of(topic)
    if bound is not None:
        return EVERYTHING in _topics(change) and _owner_of(change) in bound
    return topic in _topics(change)


def _bound_of(topic: str) -> frozenset[str] | None:
    """None for a topic that is not everything within a bound."""
    return frozenset(topic.removeprefix(_WITHIN).split(",")) if topic.startswith(_WITHIN) else None


def _owner_of(change: Change) -> str | None:
    return change.id if change.kind is StreamKind.KNOWLEDGE_BASE else change.knowledge_base_id


def _topics(change: Change) -> tuple[str, ...]:
    """Where a change is heard: a task and its documents under the task, a knowledge base under itself."""
    match change.kind:
        case StreamKind.KNOWLEDGE_BASE:
            return (change.id, EVERYTHING)
        case StreamKind.TASK:
            return (change.id, _ALONE + change.id, EVERYTHING)
        case StreamKind.DOCUMENT:
            return () if change.task_id is None else (change.task_id,)


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
