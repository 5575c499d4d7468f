"""What one stream tells: pure of HTTP, so that other transports can tell the same.

First the present state (`status`), of a task also that of each document (`document`), then one event a change. Behind
each event of a change stands the place from which a watcher that was cut off goes on. A finished task ends with its
state.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from events.ids import TaskId
from projections.changes import ChangeTailer, is_about
from projections.feed import Change, FeedPosition
from projections.frames import frame_for, is_early_end, read_statuses
from projections.on_demand import gathered
from projections.places import NOTHING, Place, at_most, mark_of
from projections.queries import Queries
from projections.subjects import Subject
from projections.subscription import AT_ONCE_BYTES_MAX, Frame, News, Shared, Subscription, Taken
from projections.told import Told
from projections.views import ViewStore

HEARTBEAT_S: Final = 15.0
"""Silence after which a sign of life is sent: proxies keep the connection, and dead ones are noticed."""

STALL_S: Final = 15.0
"""How long a watcher may take nothing of what is sent to it; then it is cut off."""

RESUME_COMMITS_MAX: Final = 1_000
"""Commits looked through to resume; a client further behind starts from the present state, which costs less."""


class Group(msgspec.Struct, frozen=True):
    """Frames sent together, no frames: a sign of life. Each has the place behind it, None where there is none.

    A beginning has its place on its last frame alone: who was cut off before that begins anew.
    """

    frames: tuple[Frame, ...] = ()
    places: tuple[Place | None, ...] = ()
    is_end: bool = False


class Watch(msgspec.Struct, frozen=True):
    """What the streams of one process share."""

    queries: Queries
    views: ViewStore
    tailer: ChangeTailer
    heartbeat_s: float = HEARTBEAT_S
    stall_s: float = STALL_S


class Changed(NamedTuple):
    """What the subject's rows did in one partition, up to `end`: the last change of each."""

    partition: int
    end: FeedPosition
    changes: dict[str, Change]


class Story:
    """One watcher's stream, from the beginning or from where the watcher was cut off.

    `_place` is what the watcher knows; `_began_ahead` the rows, by mark, that a beginning told newer than its place,
    good as long as `_told` is.
    """

    def __init__(self, watch: Watch, subject: Subject, subscription: Subscription) -> None:
        self._watch = watch
        self._subject = subject
        self._subscription = subscription
        self._partitions = subject.partitions
        self._place = Place(tuple(FeedPosition() for _ in self._partitions))
        self._began_ahead: Mapping[str, int] = {}
        self._told = Told(watch.queries, watch.tailer, self._partitions)
        self._topic_version = -1
        self._is_over = False

    async def groups(self, resume_from: Place | None) -> AsyncGenerator[Group, None]:
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
            # In one turn: the place is where that leads to which is taken.
            taken, place = self._subscription.take(), self._present_place()
            if taken.is_fresh_start:
                async for group in self._afresh():
                    yield group
                    if group.is_end:
                        return
            elif (news := await self._news(taken, place)) is not None:
                yield news
                if news.is_end:
                    return

    def at_once(self, news: News, write: Callable[[Group], bytes]) -> bytes | None:
        """What a watcher that waits is sent of news, as if it had taken them, written once for all that stand at the
        same place. None for what takes more than this turn: what may have been told by the beginning, an end, much."""
        own = news.own
        if not news.is_short or self._told.versions is not None:
            return None
        if own is not None and (own.is_end or own.version <= self._topic_version):
            return None
        shared, before = news.shared, self._place
        if shared is None or (shared.before is not before and shared.before != before):
            behind = self._present_place()
            shared = Shared(before, behind, write(self._group(list(news.frames), before, behind)))
            news.shared = news.shared or shared
        if len(shared.written) > AT_ONCE_BYTES_MAX:
            return None
        self._place = shared.behind
        if own is not None:
            self._topic_version = own.version
        return shared.written

    async def _beginning(self, resume_from: Place | None) -> AsyncIterator[Group]:
        if resume_from is not None and len(resume_from.positions) == len(self._partitions):
            group = await self._resumed(resume_from)
            if group is not None:
                yield group
                return
        async for group in self._afresh():
            yield group

    async def _afresh(self) -> AsyncIterator[Group]:
        """The place is read before the states, so they are at least as new as it says."""
        self._topic_version = -1  # where the log has lost its end, the present state is an earlier one
        positions = tuple(await gathered(self._partitions, self._watch.tailer.feed_end))
        self._told.begin()
        held: Sequence[Frame] = ()
        async for part in self._subject.beginning():
            if held:
                yield Group(tuple(held))
            self._remember(part)
            held = part
        found = await self._changes_since(positions) or []
        is_all_ahead = await self._told.close()
        later = {row_id for one in found for row_id in one.changes}
        told = (self._told.versions or {}).items()
        self._began_ahead = {mark_of(row): version for row, version in told if is_all_ahead or row in later}
        self._place = Place(positions, at_most(self._began_ahead))
        frames = tuple(held)
        yield Group(frames, (*(None for _ in frames[1:]), self._place), is_end=self._is_over)

    async def _resumed(self, resume_from: Place) -> Group | None:
        """What changed since, as it is now, and was not told; None where the feeds do not reach back, or not as far as
        an end that was folded from the log."""
        # The end is looked for first: where no change is found afterwards, it is what the watcher knows.
        state = await self._subject.present()
        if state is not None and state.is_end:
            if not await self._watch.queries.have_views_task(TaskId(state.id), state.version):
                return None
            self._is_over = True
        found = await self._changes_since(resume_from.positions)
        if found is None:
            return None
        versions = {row_id: change.version for one in found for row_id, change in one.changes.items()}
        frames = [frame for one in found for frame in await self._present(one)]
        self._told.begin()
        self._remember(frames)
        await self._told.close()
        newer = {mark_of(one.id): one.version for one in frames if one.version > versions.get(one.id, -1)}
        covered = {mark_of(row_id): version for row_id, version in versions.items()}
        still = {mark: told for mark, told in resume_from.ahead.items() if covered.get(mark, -1) < told}
        self._began_ahead = {**still, **newer}
        news = [frame for frame in frames if not resume_from.knows(frame.id, frame.version)]
        self._place = Place(tuple(one.end for one in found), at_most(self._began_ahead))
        return self._group(news, resume_from, self._place)

    async def _present(self, changed: Changed) -> list[Frame]:
        statuses = await read_statuses(self._watch.views, changed.partition, changed.changes)
        topic = self._subject.topic
        frames = ((change, frame_for(topic, change, statuses.get(change.id))) for change in changed.changes.values())
        return [
            frame
            for change, frame in frames
            if frame is not None and (self._is_over or not is_early_end(topic, change, frame))
        ]

    async def _news(self, taken: Taken, place: Place) -> Group | None:
        frames = [one for one in taken.frames if one.version > max(self._told.version(one.id), self._version_told(one))]
        await self._forget_told()
        if not frames:
            return None
        self._remember_topic(frames)
        before, self._place = self._place, place
        return self._group(frames, before, place)

    async def _forget_told(self) -> None:
        if self._told.versions is not None:
            await self._told.forget()

    def _group(self, frames: list[Frame], before: Place, behind: Place) -> Group:
        """Behind each frame but the last stands the place before with what was told on top."""
        # The state last: where it is the end, everything was said before it.
        frames.sort(key=lambda frame: frame.id == self._subject.topic)
        told = [(frame.id, frame.version) for frame in frames]
        between = (before.with_told(told[:count]) for count in range(1, len(frames)))
        places = (*between, behind) if frames else ()
        return Group(tuple(frames), places, is_end=self._is_over)

    def _present_place(self) -> Place:
        tailer, known = self._watch.tailer, zip(self._partitions, self._place.positions, strict=True)
        ahead = self._subscription.ahead
        if self._told.versions is not None and self._began_ahead:
            ahead = {**self._began_ahead, **ahead}
        # What a beginning read is newer than where the tailer may be.
        positions = tuple(max(tailer.position(partition), position) for partition, position in known)
        return Place(positions, at_most(dict(ahead)) if ahead else NOTHING)

    async def _changes_since(self, positions: Sequence[FeedPosition]) -> list[Changed] | None:
        """What changed behind each position; None where a feed does not reach back."""

        async def since(place: tuple[int, FeedPosition]) -> Changed | None:
            partition, position = place
            entries = await self._watch.tailer.feed.feed_since(partition, position, limit=RESUME_COMMITS_MAX)
            if entries is None:
                return None
            topic = self._subject.topic
            changes = {one.id: one for entry in entries for one in entry.changes if is_about(one, topic)}
            return Changed(partition, entries[-1].position if entries else position, changes)

        found = await gathered(list(zip(self._partitions, positions, strict=True)), since)
        return None if None in found else [one for one in found if one is not None]

    def _version_told(self, frame: Frame) -> int:
        """A row is read as it is, which may be newer than the change that told of it: the next change then says it
        again. Kept for the topic alone; a number for each of its documents would be 1 MB for a task of 10,000."""
        return self._topic_version if frame.id == self._subject.topic else -1

    def _remember(self, frames: Sequence[Frame]) -> None:
        self._remember_topic(frames)
        self._told.add(frames)

    def _remember_topic(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if frame.id == self._subject.topic:
                self._topic_version = max(self._topic_version, frame.version)
                self._is_over = frame.is_end
