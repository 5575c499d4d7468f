"""Watchers that keep up are told in the turn that brings the news, and are told what those are told who take it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Self

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import commands as c
from events.ids import DocumentId
from events.memory import MemoryLog
from events.steps import Step
from projections.changes import ChangeTailer
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.sse import encode_group
from projections.subjects import WatchedTask
from projections.subscription import AT_ONCE_BYTES_MAX, Frame, News, Subscription
from projections.watching import Group, Story, Watch
from tests.examples import examples
from tests.projecting import project
from tests.waiting import wait_until
from tests.workshop import Workshop

DOCUMENTS = 3


class Watcher:
    """`told` is what it was sent behind its beginning; who listens is told at once where it can be, `at_once` times."""

    def __init__(self, story: Story, subscription: Subscription, *, listens: bool) -> None:
        self.told = b""
        self.at_once = 0
        self.written = 0
        self.has_begun = False
        self._story = story
        if listens:
            subscription.listen(self._take)

    async def run(self) -> None:
        async for group in self._story.groups(None):
            if self.has_begun:
                self.told += b"".join(encode_group(group))
            self.has_begun = self.has_begun or any(place is not None for place in group.places)

    async def hear_nothing(self) -> None:
        """As long as until a sign of life: what the beginning told is not remembered any more."""
        await self._story._forget_told()

    def _take(self, news: News) -> bool:
        written = self._story.at_once(news, self._write)
        if written is None:
            return False
        self.at_once += 1
        self.told += written
        return True

    def _write(self, group: Group) -> bytes:
        self.written += 1
        return b"".join(encode_group(group))


class World:
    """A task that is watched. No sign of life is sent: whoever is told something waits again in the same turn."""

    def __init__(self, documents: int) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: 0)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: 0)
        self.workshop = Workshop(self.log)
        self.tailer = ChangeTailer(self.views, self.views, wait_ms=5)
        self.watchers: list[Watcher] = []
        self._count = documents
        self._queries = Queries(self.log, self.views)
        self._watch = Watch(self._queries, self.views, self.tailer, heartbeat_s=60)
        self._steps: dict[DocumentId, int] = defaultdict(int)
        self._watching, self._running = ExitStack(), list[asyncio.Task[None]]()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        self.task, self.documents = await self.workshop.submit(await self.workshop.create(), self._count)
        await project(self.log, self.views)
        await self.tailer.begin()
        stop = asyncio.Event()
        tailing = asyncio.create_task(self.tailer.run(stop))
        try:
            yield self
        finally:
            stop.set()
            await tailing
            self._watching.close()

    async def join(self, *, listens: bool) -> Watcher:
        subscription = self._watching.enter_context(self.tailer.watching(self.task))
        story = Story(self._watch, WatchedTask(self._queries, self.task), subscription)
        watcher = Watcher(story, subscription, listens=listens)
        self.watchers.append(watcher)
        self._running.append(asyncio.create_task(watcher.run()))
        await wait_until(lambda: watcher.has_begun, "it has begun")
        return watcher

    async def commit(self, moved: Sequence[int]) -> None:
        """These documents go on, and everybody is told of it; where there are none, something else happens."""
        for number in moved:
            await self._go_on(self.documents[number])
        if not moved:
            await self.workshop.create()
        await project(self.log, self.views)
        end = await self.views.feed_end(0)
        await wait_until(lambda: self.tailer.has_passed(0, end), "every change was offered")
        if moved:
            id_line = f"id: {end}".encode()
            await wait_until(lambda: all(id_line in one.told for one in self.watchers), "everybody was told")

    async def _go_on(self, document: DocumentId) -> None:
        """Its parser is started, or fails and is to be tried again."""
        number = self._steps[document]
        self._steps[document] += 1
        attempt = number // 2 + 1
        if number % 2 == 0:
            await self.workshop.start(document, attempt=attempt)
        else:
            failed = c.FailStep(step=Step.PARSE, attempt=attempt, code="parser_crashed", message="again", retry_at_us=1)
            await self.workshop.work(document, failed)

    async def end(self) -> None:
        """Told to everybody, in one commit."""
        for document in self.documents:
            await self.workshop.work(document, c.CancelDocument())
        await self.workshop.finish(self.task)
        await project(self.log, self.views)
        async with asyncio.timeout(20):
            await asyncio.gather(*self._running)


async def tell(course: Sequence[Sequence[int]], joined_behind: Sequence[tuple[int, bool]]) -> None:
    """A commit for each entry of the course, of the documents that it names, or of something else where it names none;
    two watchers join behind each of these, of whom one listens and one takes, and maybe hear nothing for a while."""
    joined: list[tuple[Watcher, Watcher, int]] = []
    async with World(DOCUMENTS).watched() as world:
        for number in range(len(course) + 1):
            for is_silent in (silent for behind, silent in joined_behind if behind == number):
                pair = await world.join(listens=True), await world.join(listens=False)
                for one in pair if is_silent else ():
                    await one.hear_nothing()
                # What comes first may have been told by the beginning, and the end takes more than a turn.
                joined.append((*pair, max(0, sum(map(bool, course[number:])) - (not is_silent))))
            if number < len(course):
                await world.commit(course[number])
        await world.end()
    for listening, taking, at_once in joined:
        assert listening.told == taking.told
        assert listening.told.endswith(b"event: end\ndata: {}\n\n")
        assert listening.at_once == at_once


COMMITS_MAX = 5
COURSES = st.lists(st.lists(st.integers(0, DOCUMENTS - 1), max_size=4), max_size=COMMITS_MAX)


@settings(max_examples=examples(25))
@given(COURSES, st.lists(st.tuples(st.integers(0, COMMITS_MAX), st.booleans()), min_size=1, max_size=3))
@example([[0, 1], [], [0, 1, 2]], [(0, True), (2, True)])  # they stand at different places
def test_who_listens_is_told_the_same_bytes_as_who_takes(
    course: list[list[int]], joined_behind: list[tuple[int, bool]]
) -> None:
    asyncio.run(tell(course, [(min(behind, len(course)), silent) for behind, silent in joined_behind]))


async def test_news_are_written_once_for_all_who_stand_at_one_place() -> None:
    async with World(1).watched() as world:
        watchers = [await world.join(listens=True) for _ in range(3)]
        for _ in range(3):
            await world.commit([0])
        await world.end()
    assert [one.at_once for one in watchers] == [2, 2, 2]
    assert watchers[0].written + watchers[1].written + watchers[2].written == 2


async def test_news_that_are_too_much_for_one_turn_are_taken() -> None:
    async with World(AT_ONCE_BYTES_MAX // 400).watched() as world:
        watcher = await world.join(listens=True)
        for moved in ([0], [0], range(len(world.documents))):
            await world.commit(moved)
        assert watcher.at_once == 1, "the second"
        await world.end()


class Reader:
    """Waits, then takes."""

    def __init__(self) -> None:
        self.subscription = Subscription("task", {})
        self.taken: list[int] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        await self.subscription.wait(60)
        self.taken = [one.version for one in self.subscription.take().frames]


def news(*versions: int) -> News:
    frames = [Frame(f"row {version}", "document", version, False, b"{}") for version in versions]
    return News("task", frames, asyncio.get_running_loop().time())


async def test_who_is_told_at_once_sleeps_on_and_who_hands_nothing_on_takes_it() -> None:
    reader, told = Reader(), list[News]()

    def hand_on(one: News) -> bool:
        told.append(one)
        return len(told) == 1

    reader.subscription.listen(hand_on)
    first, second, third = news(1), news(2), news(3)
    reader.subscription.tell(first)  # nobody waits yet
    await reader.reading
    assert (reader.taken, told) == ([1], [])
    reader.reading = asyncio.create_task(reader._read())
    await asyncio.sleep(0)
    reader.subscription.tell(second)
    await asyncio.sleep(0)
    assert (reader.reading.done(), told) == (False, [second])
    reader.subscription.tell(third)
    reader.subscription.tell(news(4))
    await reader.reading
    assert (reader.taken, told) == ([3, 4], [second, third]), "behind what waits nothing is handed on"
    reader.subscription.leave()


async def test_a_watcher_that_goes_wrong_keeps_no_news_from_itself_or_others() -> None:
    told = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    reader = Reader()

    def breaks(_: News) -> bool:
        raise LookupError("no such thing")

    reader.subscription.listen(breaks)
    await asyncio.sleep(0)
    reader.subscription.tell(news(1))
    await reader.reading
    assert reader.taken == [1]
    assert [type(one["exception"]) for one in told] == [LookupError]
    reader.subscription.leave()
