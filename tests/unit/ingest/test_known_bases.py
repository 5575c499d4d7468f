"""What is known of a knowledge base is known for a moment, and decides nothing."""

from collections.abc import Iterator
from itertools import count

import pytest

from domain.commands import CreateKnowledgeBase, DeleteKnowledgeBase, KnowledgeBaseCommand
from domain.deciders import knowledge_base_decider
from domain.errors import RefusalCode, Refused
from domain.handle import handle
from events.envelope import Envelope
from events.ids import KnowledgeBaseId
from events.memory import MemoryLog
from ingest.known_bases import KNOWN_MAX, KNOWN_US_MAX, KnownBases
from tests.strategies import KNOWLEDGE_BASE, PARTITIONS
from tests.unit.domain.busy_log import new_context


class Counted(MemoryLog):
    """Counts how often a history is read."""

    def __init__(self) -> None:
        super().__init__(partitions=PARTITIONS, clock_us=lambda: 0)
        self.reads = 0

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        self.reads += 1
        return await super().history(stream_id, after_version=after_version)


class Clock:
    def __init__(self) -> None:
        self.now_us = 5

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def log() -> Counted:
    return Counted()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def say(log: MemoryLog, command: KnowledgeBaseCommand, kb: KnowledgeBaseId = KNOWLEDGE_BASE) -> None:
    await handle(log, knowledge_base_decider(kb), kb, [command], new_context())


async def test_within_a_second_it_is_read_once(log: Counted, clock: Clock) -> None:
    await say(log, CreateKnowledgeBase(name="mill"))
    bases, log.reads = KnownBases(log, clock), 0
    first = await bases.while_active(KNOWLEDGE_BASE)
    clock.now_us += KNOWN_US_MAX
    assert await bases.while_active(KNOWLEDGE_BASE) is first
    assert log.reads == 1
    clock.now_us += 1
    assert (await bases.while_active(KNOWLEDGE_BASE)).known == first.known
    assert log.reads == 2


async def test_a_clock_that_went_back_makes_nothing_known_for_longer(log: Counted, clock: Clock) -> None:
    await say(log, CreateKnowledgeBase(name="mill"))
    bases, log.reads = KnownBases(log, clock), 0
    await bases.while_active(KNOWLEDGE_BASE)
    clock.now_us -= 1
    await bases.while_active(KNOWLEDGE_BASE)
    assert log.reads == 2


async def test_one_that_was_deleted_is_refused_a_second_later_and_always_after(log: Counted, clock: Clock) -> None:
    await say(log, CreateKnowledgeBase(name="mill"))
    bases = KnownBases(log, clock)
    await bases.while_active(KNOWLEDGE_BASE)
    await say(log, DeleteKnowledgeBase(reason="test"))
    clock.now_us += KNOWN_US_MAX + 1
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await bases.while_active(KNOWLEDGE_BASE)
        assert refused.value.code is RefusalCode.KNOWLEDGE_BASE_DELETED


async def test_one_that_is_unknown_is_asked_for_each_time(log: Counted, clock: Clock) -> None:
    bases = KnownBases(log, clock)
    with pytest.raises(Refused):
        await bases.while_active(KNOWLEDGE_BASE)
    await say(log, CreateKnowledgeBase(name="mill"))
    assert (await bases.while_active(KNOWLEDGE_BASE)).known.version == 1


def bases_of_one_partition() -> Iterator[KnowledgeBaseId]:
    for number in count():
        yield KnowledgeBaseId(f"{KNOWLEDGE_BASE[:-6]}{number:06x}")


async def test_no_more_than_so_many_are_remembered(log: Counted, clock: Clock) -> None:
    names = bases_of_one_partition()
    first, bases = next(names), KnownBases(log, clock)
    await say(log, CreateKnowledgeBase(name="first"), first)
    await bases.while_active(first)
    for _ in range(KNOWN_MAX):
        kb = next(names)
        await say(log, CreateKnowledgeBase(name="another"), kb)
        await bases.while_active(kb)
    log.reads = 0
    await bases.while_active(kb)
    await bases.while_active(first)
    assert log.reads == 1
