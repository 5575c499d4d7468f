"""A log that has lost its end is told by a note of where it ended, whatever was appended since."""

import pytest

from events.document import StepStarted
from events.log_ends import decode_ends, encode_ends, partitions_cut, read_ends
from events.memory import MemoryLog
from events.steps import Step
from tests.event_samples import T0_US, new_document, new_knowledge_base, new_task, write

PARTITIONS = 2
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")


def new_log() -> MemoryLog:
    return MemoryLog(partitions=PARTITIONS, clock_us=lambda: T0_US)


async def append(log: MemoryLog, count: int, partition: int = 0) -> None:
    knowledge_base, task = new_knowledge_base(partition), new_task(partition)
    for _ in range(count):
        await log.append([write(new_document(partition), 0, STARTED, knowledge_base=knowledge_base, task=task)])


async def test_a_log_that_only_grows_has_lost_nothing() -> None:
    log = new_log()
    empty = await read_ends(log)
    await append(log, 3)
    ends = await read_ends(log)
    assert await partitions_cut(log, ends) == []
    await append(log, 3)
    await append(log, 1, partition=1)
    assert await partitions_cut(log, ends) == []
    assert await partitions_cut(log, empty) == []


@pytest.mark.parametrize("since", [0, 1, 5])
async def test_a_log_that_went_back_is_noticed_also_when_it_has_grown_past_the_place(since: int) -> None:
    before, after = new_log(), MemoryLog(partitions=PARTITIONS, clock_us=lambda: T0_US + 60_000_000)
    await append(before, 3)
    await append(after, since)
    assert await partitions_cut(after, await read_ends(before)) == [0]


async def test_a_note_comes_back_as_it_was_written_and_a_damaged_one_is_none() -> None:
    log = new_log()
    await append(log, 2)
    ends = await read_ends(log)
    assert decode_ends(encode_ends(ends)) == ends
    for damaged in (b"", b"{", b'{"format": 2}', b'{"heads": [1]}'):
        assert decode_ends(damaged) is None
