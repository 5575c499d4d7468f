"""Whoever was told of an event that the log does not have any more knows it, whatever was appended since."""

import copy

import pytest

from events.document import StepStarted
from events.envelope import Envelope, Position
from events.epochs import EPOCH_FIRST, SEEN_EVERY_S, SEEN_MAX, SeenEnds, epoch_of, fence_of
from events.log import EVENTS_PER_STREAM_MAX, Appended, Unreadable
from events.memory import MemoryLog
from events.steps import Step
from tests.event_samples import T0_US, new_document, new_knowledge_base, new_task, write

PARTITIONS = 2
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")


class World:
    """A log that may be put back to what it was, and one process that appends to it."""

    def __init__(self) -> None:
        self.now_us = T0_US
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=lambda: self.now_us)
        self.seen = SeenEnds(lambda: self.now_us / 1_000_000)

    async def append(self, *, partition: int = 0, tells: bool = True) -> Position:
        base, task = new_knowledge_base(partition), new_task(partition)
        writes = [write(new_document(partition), 0, STARTED, STARTED, knowledge_base=base, task=task)]
        answer = await self.log.append(writes)
        assert isinstance(answer, Appended)
        if tells:
            self.seen.note(partition, writes, answer.positions)
        return answer.positions[-1]

    async def lose(self, events: int, partition: int = 0) -> None:
        state = self.log.store.partitions[partition]
        keeps = copy.deepcopy(state)
        keeps.log = keeps.log[: len(keeps.log) - events]
        for stream in keeps.streams.values():
            stream.places = [place for place in stream.places if place < len(keeps.log)]
        self.log.store.partitions[partition] = keeps


@pytest.fixture
def world() -> World:
    return World()


async def test_a_log_that_only_grows_has_lost_nothing(world: World) -> None:
    assert await world.seen.lost(world.log) == {}
    for partition in (0, 1, 0):
        await world.append(partition=partition)
    await world.append(tells=False)
    assert await world.seen.lost(world.log) == {}


@pytest.mark.parametrize("since", [0, 1, 3])
async def test_what_was_answered_and_is_gone_is_told_once(world: World, since: int) -> None:
    await world.append(partition=1)
    await world.append()
    position = await world.append()
    await world.lose(1)
    for _ in range(since):
        world.now_us += 1_000
        await world.append(tells=False)
    assert await world.seen.lost(world.log) == {0: position}
    assert await world.seen.lost(world.log) == {0: position}, "until somebody was told"
    world.seen.forget(0, position)
    assert await world.seen.lost(world.log) == {}


@pytest.mark.parametrize("since", [1, 3])
async def test_who_went_on_to_append_behind_what_was_lost_tells_of_it_all_the_same(world: World, since: int) -> None:
    await world.append()
    world.now_us += round(SEEN_EVERY_S * 1_000_000)
    position = await world.append()
    await world.lose(1)
    for _ in range(since):
        world.now_us += round(SEEN_EVERY_S * 1_000_000)
        await world.append()
    assert await world.seen.lost(world.log) == {0: position}
    world.seen.forget(0, position)
    assert await world.seen.lost(world.log) == {}


async def test_of_what_was_answered_shortly_after_one_another_the_last_is_remembered(world: World) -> None:
    await world.append()
    position = await world.append()
    await world.lose(3)
    assert await world.seen.lost(world.log) == {0: position}


async def test_where_nobody_looks_the_oldest_are_forgotten(world: World) -> None:
    for _ in range(SEEN_MAX + 2):
        world.now_us += round(SEEN_EVERY_S * 1_000_000)
        await world.append()
    reads = await reads_of_a_look(world)
    assert reads == SEEN_MAX
    assert await reads_of_a_look(world) == 1, "what is there is looked for once, but for the last"


async def reads_of_a_look(world: World) -> int:
    counting = CountingReads(world.log)
    assert await world.seen.lost(counting) == {}
    return counting.reads


class CountingReads(MemoryLog):
    def __init__(self, log: MemoryLog) -> None:
        self.__dict__.update(log.__dict__)
        self.reads = 0

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        self.reads += 1
        return await super().read(partition, after=after, limit=limit, wait_ms=wait_ms)


async def test_another_event_at_the_same_place_is_not_what_was_seen(world: World) -> None:
    position = await world.append()
    await world.lose(2)
    world.log.store.partitions[0].numbering.last = (position.ms, position.sequence - 2)
    assert await world.append(tells=False) == position
    assert await world.seen.lost(world.log) == {0: position}


async def test_who_saw_an_event_of_an_epoch_before_can_tell_of_the_loss_after_it(world: World) -> None:
    position = await world.append()
    assert await world.log.raise_epoch(0, position)
    assert await world.seen.lost(world.log) == {}
    await world.lose(1)
    (found,) = (await world.seen.lost(world.log)).values()
    assert (found.epoch, found.entry_id) == (position.epoch + 1, position.entry_id)
    assert await world.log.raise_epoch(0, found)


def test_a_fence_grows_with_the_version_and_in_a_later_epoch_from_the_first_version_on() -> None:
    fences = [
        fence_of(epoch, version) for epoch in range(EPOCH_FIRST, 9) for version in (0, 1, 7, EVENTS_PER_STREAM_MAX)
    ]
    assert fences == sorted(set(fences))
    assert fence_of(EPOCH_FIRST, 7) == 7
    assert fence_of(1_000_000, EVENTS_PER_STREAM_MAX) < 2**63, "a column of the index holds it"


async def test_a_history_tells_the_epoch_in_which_it_was_read(world: World) -> None:
    assert epoch_of([]) == EPOCH_FIRST
    position = await world.append()
    assert epoch_of(await world.log.history(new_document())) == EPOCH_FIRST
    (stream,) = world.log.store.partitions[0].streams
    assert await world.log.raise_epoch(0, position)
    assert epoch_of(await world.log.history(stream)) == EPOCH_FIRST + 1
