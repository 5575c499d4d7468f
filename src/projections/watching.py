"""What one stream tells: pure of HTTP, so that other transports can tell the same.

First the present state (`status`), of a task also that of each document (`document`), then one event a change. A group
of frames carries one place in the feed, good once the whole group was received. A finished task ends with its state.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final, Protocol

import msgspec

from domain.status import DocumentStatus, TaskStatus
from events.ids import KnowledgeBaseId, TaskId
from projections.changes import ChangeTailer, Frame, Subscription, Taken, frame_of, is_about, read_statuses
from projections.feed import Change, FeedPosition
from projections.queries import Queries
from projections.rows import Status
from projections.views import ViewStore

HEARTBEAT_S: Final = 15.0
"""Silence after which a sign of life is sent: proxies keep the connection, and dead ones are noticed."""

RESUME_COMMITS_MAX: Final = 1_000
"""Commits looked through to resume; a client further behind starts from the present state, which costs less."""


class Group(msgspec.Struct, frozen=True):
    """Frames sent together. `position` is None before the last group of a beginning; no frames: a sign of life."""

    frames: tuple[Frame, ...] = ()
    position: FeedPosition | None = None
    is_end: bool = False


class Watch(msgspec.Struct, frozen=True):
    """What the streams of one process share."""

    queries: Queries
    views: ViewStore
    tailer: ChangeTailer
    heartbeat_s: float = HEARTBEAT_S


class Subject(Protocol):
    """What is watched."""

    @property
    def topic(self) -> str: ...

    async def status(self) -> Status: ...

    def documents(self) -> AsyncIterator[list[DocumentStatus]]:
        """The present state of each document, a part at a time."""
        ...


class WatchedTask:
    """A task and its documents."""

    def __init__(self, queries: Queries, task: TaskId) -> None:
        self._queries = queries
        self._task = task

    @property
    def topic(self) -> str:
        return self._task

    async def status(self) -> TaskStatus:
        return await self._queries.task(self._task)

    def documents(self) -> AsyncIterator[list[DocumentStatus]]:
        return self._queries.documents_of_task(self._task)


class WatchedKnowledgeBase:
    """A knowledge base by itself: its documents may be millions."""

    def __init__(self, queries: Queries, knowledge_base: KnowledgeBaseId) -> None:
        self._queries = queries
        self._knowledge_base = knowledge_base

    @property
    def topic(self) -> str:
        return self._knowledge_base

    async def status(self) -> Status:
        return await self._queries.knowledge_base(self._knowledge_base)

    async def documents(self) -> AsyncIterator[list[DocumentStatus]]:
        for part in list[list[DocumentStatus]]():
            yield part


class Story:
    """One watcher's stream, from the beginning or from where the watcher was cut off.

    While it begins, the tailer may offer states that were read before those already told: `_told` keeps the versions
    told until the tailer has passed the place where that can happen. What the projector had not reached was folded from
    the log and is ahead of the views: that place is known once they have come as far as the log had then.
    """

    def __init__(self, watch: Watch, subject: Subject, subscription: Subscription) -> None:
        self._watch = watch
        self._subject = subject
        self._subscription = subscription
        self._partition = watch.queries.partition_of(subject.topic)
        self._told: dict[str, int] | None = None
        self._told_from_log = 0
        self._told_until: FeedPosition | None = None
        self._topic_version = -1

    async def groups(self, resume_from: FeedPosition | None) -> AsyncGenerator[Group, None]:
        """Ends behind a group that is the end, or when the subscription is closed."""
        async for group in self._beginning(resume_from):
            yield group
            if group.is_end:
                return
        while True:
            has_news = await self._subscription.wait(self._watch.heartbeat_s)
            if self._subscription.is_closed:
                return
            if not has_news:
                await self._forget_told()
                yield Group()
                continue
            async for group in self._next(self._subscription.take()):
                yield group
                if group.is_end:
                    return

    async def _beginning(self, resume_from: FeedPosition | None) -> AsyncIterator[Group]:
        entries = None
        if resume_from is not None:
            entries = await self._watch.tailer.feed.feed_since(self._partition, resume_from, limit=RESUME_COMMITS_MAX)
        if entries is None or resume_from is None:
            async for group in self._afresh():
                yield group
            return
        changes = [change for entry in entries for change in entry.changes]
        yield await self._missed(changes, entries[-1].position if entries else resume_from)

    async def _afresh(self) -> AsyncIterator[Group]:
        """The place is read before the states, so they are at least as new as it says."""
        position = await self._watch.tailer.feed.feed_end(self._partition)
        self._told = {}
        status = self._framed(self._subject.topic, "status", await self._subject.status())
        held: tuple[Frame, ...] = (status,)
        async for part in self._subject.documents():
            yield Group(held)
            held = tuple(self._framed(one.document_id, "document", one) for one in part)
        await self._remember_until()
        yield Group(held, position, is_end=status.is_end)

    async def _missed(self, changes: Sequence[Change], position: FeedPosition) -> Group:
        """What changed since the watcher was cut off, as it is now; the state always, as it may be the end."""
        topic = self._subject.topic
        mine = {change.id: change for change in changes if is_about(change, topic) and change.id != topic}
        statuses = await read_statuses(self._watch.views, self._partition, mine)
        self._told = {}
        frames = [self._framed(row_id, "document", status) for row_id, status in statuses.items()]
        frames.append(self._framed(topic, "status", await self._subject.status()))
        await self._remember_until()
        return Group(tuple(frames), position, is_end=frames[-1].is_end)

    async def _next(self, taken: Taken) -> AsyncIterator[Group]:
        if taken.is_fresh_start:
            async for group in self._afresh():
                yield group
            return
        told = self._told or {}
        frames = [frame for frame in taken.frames if frame.version > told.get(frame.id, self._version_told(frame))]
        await self._forget_told()
        if frames:
            self._remember_topic(frames)
            # The state last: where it is the end, everything was said before it.
            frames.sort(key=lambda frame: frame.event == "status")
            yield Group(tuple(frames), taken.position, is_end=frames[-1].is_end)

    def _version_told(self, frame: Frame) -> int:
        """A row is read as it is, which may be newer than the change that told of it: the next change then says it
        again. Kept for the topic alone; a number for each of its documents would be 1 MB for a task of 10,000."""
        return self._topic_version if frame.id == self._subject.topic else -1

    def _remember_topic(self, frames: Sequence[Frame]) -> None:
        versions = [frame.version for frame in frames if frame.id == self._subject.topic]
        self._topic_version = max([self._topic_version, *versions])

    def _framed(self, row_id: str, event: str, status: Status) -> Frame:
        frame = frame_of(row_id, event, status)
        self._remember_topic([frame])
        if self._told is not None:
            self._told[row_id] = frame.version
        return frame

    async def _remember_until(self) -> None:
        self._told_from_log = await self._watch.queries.log_end(self._partition)
        self._told_until = None

    async def _forget_told(self) -> None:
        if self._told is None:
            return
        if self._told_until is None:
            if not await self._watch.queries.have_views_reached(self._partition, self._told_from_log):
                return
            self._told_until = await self._watch.tailer.feed.feed_end(self._partition)
        if self._watch.tailer.has_passed(self._partition, self._told_until):
            self._told = None


async def changed_within(
    watch: Watch, task: TaskId, *, is_known: Callable[[TaskStatus], bool], wait_s: float, now_s: Callable[[], float]
) -> TaskStatus:
    """The task's state once it is one that the caller does not know, or has ended; else as it is after `wait_s`."""
    deadline_s = now_s() + wait_s
    with watch.tailer.watching(task) as subscription:
        status = await watch.queries.task(task)
        while is_known(status) and not frame_of(task, "status", status).is_end and not subscription.is_closed:
            rest_s = deadline_s - now_s()
            if rest_s <= 0 or not await subscription.wait(rest_s):
                break
            subscription.take()
            status = await watch.queries.task(task)
    return status
