"""Work that nobody waits for any more is stopped, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from domain.commands import (
    CancelDocument,
    DocumentCommand,
    RecordBatchEmbedded,
    RecordChunked,
    RecordParsed,
    RemoveDocument,
    RequestReprocessing,
    StartStep,
)
from domain.document import Cancelled, Chunked, DocumentState, Indexed, Open, Parsed, Removed, Running
from events.errors import LogUnavailable
from events.inbox import InboxDepth
from events.memory import MemoryLog
from events.steps import Step
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.step import Outcome, Work
from processors.watch import Watch, look_until
from tests.unit.processors.mill import WORKER, Mill, Obedient, done
from tests.waiting import wait_until

NOTHING_LEFT = InboxDepth(waiting=0, pending=0)


class Slow:
    """A processor's answer that comes when the test says so; it notes whether it was cancelled on the way."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.was_cancelled = False

    async def __call__(self, work: Work) -> Outcome:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return await done(work)


class World:
    """One document at a step, and a worker whose watch looks when the test says so."""

    def __init__(self, step: Step = Step.PARSE) -> None:
        self.mill = Mill()
        self.slow = Slow()
        self.processor = Obedient(self.slow, step)
        self.watch = Watch()
        bench = replace(self.mill.bench(), watch=self.watch)
        self.deliveries = DocumentDeliveries(
            self.processor, bench, KnowledgeBases(self.mill.log, clock_us=self.mill.clock)
        )

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[asyncio.Task[float | None]]:
        """An attempt that has begun; it has ended when the block is left."""
        delivery = await self.mill.take_one(self.processor.step)
        task = asyncio.create_task(self.deliveries.carry_out(delivery, 1))
        await asyncio.wait_for(self.slow.begun.wait(), 20)
        yield task
        await asyncio.wait_for(task, 20)

    async def look(self) -> None:
        await self.watch.look(self.mill.log)


@pytest.mark.parametrize(
    ("command", "ended"), [(CancelDocument(), Cancelled), (RemoveDocument(), Removed)], ids=["cancelled", "removed"]
)
async def test_an_attempt_at_a_document_that_nobody_wants_is_stopped(
    command: DocumentCommand, ended: type[DocumentState]
) -> None:
    world = World()
    _, (document,) = await world.mill.submit()
    async with world.attempt() as attempt:
        await world.look()
        assert not attempt.done()
        await world.mill.say(document, command)
        await world.look()
    assert world.slow.was_cancelled
    assert [type(one) for one in world.processor.abandoned] == [ended]
    assert isinstance(await world.mill.document(document), ended)
    assert len(await world.mill.history(document)) == 3
    assert await world.mill.depth(Step.PARSE) == NOTHING_LEFT


async def test_only_the_attempt_of_that_document_is_stopped() -> None:
    world = World()
    _, (unwanted, wanted) = await world.mill.submit(2)
    async with world.attempt() as first:
        world.slow.begun.clear()
        async with world.attempt() as second:
            await world.mill.say(unwanted, CancelDocument())
            await world.look()
            await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            assert (first.done(), second.done()) == (True, False)
            world.slow.may_end.set()
    assert isinstance(await world.mill.document(wanted), Parsed)


async def test_an_attempt_that_another_worker_took_over_is_stopped_and_keeps_its_hands_off_the_delivery() -> None:
    world = World()
    _, (document,) = await world.mill.submit()
    async with world.attempt():
        await world.mill.say(document, StartStep(step=Step.PARSE, attempt=2, worker="worker-2"))
        await world.look()
    assert world.slow.was_cancelled
    state = await world.mill.document(document)
    assert isinstance(state, Open)
    assert isinstance(state.activity, Running)
    assert state.activity.worker == "worker-2"
    assert (await world.mill.depth(Step.PARSE)).pending == 1


async def test_a_document_that_was_cancelled_and_begun_again_is_worked_on_by_its_new_delivery_alone() -> None:
    world = World()
    _, (document,) = await world.mill.submit()
    async with world.attempt():
        again = RequestReprocessing(reason="after all", task_id=world.mill.ids.task(world.mill.knowledge_base))
        await world.mill.say(document, CancelDocument(), again)
        await world.look()
    assert world.slow.was_cancelled
    assert await world.mill.depth(Step.PARSE) == InboxDepth(waiting=1, pending=0)
    world.slow.may_end.set()
    async with world.attempt():
        pass
    assert isinstance(await world.mill.document(document), Parsed)
    assert [work.attempt for work in world.processor.attempts] == [1, 2]
    assert await world.mill.depth(Step.PARSE) == NOTHING_LEFT


async def test_what_an_attempt_records_itself_does_not_stop_it() -> None:
    world = World(Step.EMBED)
    _, (document,) = await world.mill.submit()
    chunked = (
        StartStep(step=Step.PARSE, attempt=1, worker=WORKER),
        RecordParsed(attempt=1, text_blob="t", parser="p", pages=1, characters=1),
        StartStep(step=Step.CHUNK, attempt=1, worker=WORKER),
        RecordChunked(attempt=1, chunks_blob="c", chunks=2, tokens=2, chunker="k"),
    )
    await world.mill.say(document, *chunked)
    async with world.attempt():
        (work,) = world.processor.attempts
        batch = RecordBatchEmbedded(attempt=1, batch=0, first_chunk=0, last_chunk=1, vectors_blob="v")
        assert await work.record(batch)
        await world.look()
        # As the log has it before the attempt knows: the same fact, seen from outside.
        other = Watch()
        async with asyncio.timeout(None) as timer:
            with other.over(Lagging(document, work), timer) as watching:
                await other.look(world.mill.log)
        assert not watching.is_unwanted
        assert timer.when() is None
        assert isinstance(await world.mill.document(document), Chunked)
        world.slow.may_end.set()
    assert not world.slow.was_cancelled
    assert not isinstance(await world.mill.document(document), Chunked | Indexed)


class Lagging:
    """An attempt that has not heard yet that its own append is in."""

    def __init__(self, document_id: str, work: Work) -> None:
        self.document_id = document_id
        self.known_version = 1
        self._attempt = work.attempt

    def is_wanted(self, now: DocumentState) -> bool:
        return isinstance(now, Open) and isinstance(now.activity, Running) and now.activity.attempt == self._attempt


class Counting(MemoryLog):
    """Counts what is asked, and does not answer the first times."""

    def bind(self, log: MemoryLog, *, failures: int = 0) -> None:
        self.store = log.store
        self.asked: list[int] = []
        self.failures = failures

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        self.asked.append(len(stream_ids))
        if len(self.asked) <= self.failures:
            raise LogUnavailable("not now")
        return await super().versions(stream_ids)


async def test_an_idle_worker_asks_nothing() -> None:
    mill = Mill()
    log = Counting(partitions=2, clock_us=mill.clock)
    log.bind(mill.log)
    await Watch().look(log)
    assert log.asked == []


async def test_the_watch_outlives_an_outage_of_the_log() -> None:
    world, ended = World(), asyncio.Event()
    _, (document,) = await world.mill.submit()
    log = Counting(partitions=2, clock_us=world.mill.clock)
    log.bind(world.mill.log, failures=3)
    looking = asyncio.create_task(look_until(ended, world.watch, log, interval_s=0.001))
    async with world.attempt() as attempt:
        await world.mill.say(document, CancelDocument())
        await wait_until(attempt.done, "the attempt was stopped")
    ended.set()
    await asyncio.wait_for(looking, 20)
    assert world.slow.was_cancelled
    assert log.asked[:4] == [1, 1, 1, 1]
