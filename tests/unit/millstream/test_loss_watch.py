"""A loss that one process alone knows of is told until somebody was told, whatever goes wrong in between."""

import asyncio

import pytest

from events.document import StepStarted
from events.envelope import Position
from events.epochs import SeenEnds
from events.errors import LogUnavailable
from events.log import Appended
from events.memory import MemoryLog
from events.memory_store import PartitionState
from events.steps import Step
from millstream import loss_watch
from millstream.loss_watch import raise_where_lost, watch_for_losses
from tests.event_samples import T0_US, new_document, new_knowledge_base, new_task, write

STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")


class FailingFirst:
    """Epochs of a log that does not answer the first call."""

    def __init__(self, log: MemoryLog, error: Exception) -> None:
        self._log = log
        self._error: Exception | None = error
        self.raised = asyncio.Event()

    async def raise_epoch(self, partition: int, seen: Position) -> bool:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        is_ours = await self._log.raise_epoch(partition, seen)
        self.raised.set()
        return is_ours


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(partitions=2, clock_us=lambda: T0_US)


@pytest.fixture
async def seen(log: MemoryLog) -> SeenEnds:
    """Of a log that has lost it in both partitions."""
    seen = SeenEnds(lambda: 0.0)
    for partition in range(log.partitions):
        base, task = new_knowledge_base(partition), new_task(partition)
        writes = [write(new_document(partition), 0, STARTED, knowledge_base=base, task=task)]
        answer = await log.append(writes)
        assert isinstance(answer, Appended)
        seen.note(partition, writes, answer.positions)
        log.store.partitions[partition] = PartitionState()
    return seen


async def epochs_of(log: MemoryLog) -> list[int]:
    return [(await log.head(partition)).epoch for partition in range(log.partitions)]


async def test_a_loss_whose_epoch_could_not_be_raised_is_told_again(log: MemoryLog, seen: SeenEnds) -> None:
    epochs = FailingFirst(log, LogUnavailable("the new primary is not there yet"))
    with pytest.raises(LogUnavailable):
        await raise_where_lost(seen, log, epochs)
    assert await epochs_of(log) == [1, 1]
    assert await raise_where_lost(seen, log, epochs) == [0, 1]
    assert await epochs_of(log) == [2, 2]
    assert await raise_where_lost(seen, log, epochs) == []


@pytest.mark.parametrize("error", [LogUnavailable("away"), RuntimeError("nobody expected it")])
async def test_the_watch_outlives_whatever_goes_wrong(
    log: MemoryLog, seen: SeenEnds, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_watch, "LOOK_S", 0.001)
    stop, epochs = asyncio.Event(), FailingFirst(log, error)
    watching = asyncio.create_task(watch_for_losses(seen, log, epochs, stop))
    async with asyncio.timeout(20):
        await epochs.raised.wait()
    stop.set()
    await watching
    assert 2 in await epochs_of(log)
