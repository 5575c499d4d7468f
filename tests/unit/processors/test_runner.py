"""The loop of one step: slots, own pending, holding, claiming, draining."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from domain.document import Parsed
from events.document import DocumentParsed, StepFailed
from events.envelope import Envelope
from events.errors import CorruptEvent, LogFull, LogUnavailable
from events.ids import partition_of
from events.inbox import Delivery, InboxDepth
from events.steps import Lane, Step
from processors.liveness import claim_until
from processors.retry import RetryPolicy
from processors.runner import CarryOut, Runner
from processors.step import Outcome, Work
from tests.unit.processors.mill import PARTITIONS, WORKER, Mill, Obedient, done
from tests.waiting import wait_until

NOTHING = InboxDepth(waiting=0, pending=0)


def runner_of(mill: Mill, carry_out: CarryOut, *, slots: int = 2, consumer: str = WORKER) -> Runner:
    return Runner(
        Step.PARSE,
        carry_out,
        mill.inbox,
        consumer=consumer,
        partitions=PARTITIONS,
        slots=slots,
        take_wait_ms=20,
        random=lambda: 0.001,
    )


@asynccontextmanager
async def running(runner: Runner, *, drain_s: float = 5.0) -> AsyncIterator[None]:
    """The runner serves while inside and has drained behind it."""
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop, drain_s))
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        stop.set()
        await task


def is_parsed(event: object) -> bool:
    return isinstance(event, DocumentParsed)


class Gate:
    """A processor's answer that waits; counts who is inside."""

    def __init__(self, expected: int) -> None:
        self.inside = 0
        self.most = 0
        self.is_full = asyncio.Event()
        self.opens = asyncio.Event()
        self._expected = expected

    async def __call__(self, work: Work) -> Outcome:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside == self._expected:
            self.is_full.set()
        try:
            await self.opens.wait()
        finally:
            self.inside -= 1
        return await done(work)


class Scripted:
    """A CarryOut that answers or raises what the test says, and tells when it was called."""

    def __init__(self, answer: Callable[[int], float | None]) -> None:
        self.calls: list[int] = []
        self.is_over = asyncio.Event()
        self._answer = answer

    async def carry_out(self, delivery: Delivery, tries: int, _history: list[Envelope] | None = None) -> float | None:
        self.calls.append(tries)
        again_s = self._answer(tries)
        if again_s is None:
            self.is_over.set()
        return again_s


async def test_all_deliveries_are_carried_out_on_both_lanes() -> None:
    mill = Mill()
    await mill.submit(10)
    await mill.submit(10, lane=Lane.BULK)
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.until(is_parsed, 20)
    assert await mill.depth(Step.PARSE) == await mill.depth(Step.PARSE, Lane.BULK) == NOTHING


async def test_what_arrives_while_a_runner_is_idle_is_taken_at_once() -> None:
    mill = Mill()
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.submit(1)
        await mill.until(is_parsed)
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_no_more_than_the_slots_are_taken_or_carried_out_at_a_time() -> None:
    mill, gate = Mill(), Gate(expected=3)
    await mill.submit(8)
    async with running(runner_of(mill, mill.deliveries(Obedient(gate)), slots=3)):
        await gate.is_full.wait()
        assert await mill.depth(Step.PARSE) == InboxDepth(waiting=5, pending=3)
        gate.opens.set()
        await mill.until(is_parsed, 8)
    assert gate.most == 3


async def test_work_under_way_is_finished_in_the_drain() -> None:
    mill, gate = Mill(), Gate(expected=2)
    await mill.submit(5)
    stop = asyncio.Event()
    task = asyncio.create_task(runner_of(mill, mill.deliveries(Obedient(gate))).run(stop, 5.0))
    await gate.is_full.wait()
    stop.set()
    gate.opens.set()
    await task
    assert await mill.depth(Step.PARSE) == InboxDepth(waiting=3, pending=0)
    assert (await mill.depth(Step.CHUNK)).waiting == 2


async def test_what_cannot_be_finished_in_the_drain_is_due_at_once_for_whoever_is_there() -> None:
    mill, gate = Mill(), Gate(expected=2)
    _, names = await mill.submit(2)
    async with running(runner_of(mill, mill.deliveries(Obedient(gate))), drain_s=0.01):
        await gate.is_full.wait()
    assert await mill.depth(Step.PARSE) == NOTHING
    for name in names:
        stopped = (await mill.history(name))[-1]
        assert isinstance(stopped, StepFailed)
        assert (stopped.code, stopped.retry_at_us) == ("worker_stopped", mill.clock.now_us)
    assert await mill.inbox.move_due(partition_of(mill.knowledge_base)) == 2
    assert len(await mill.take(Step.PARSE, "worker-2", 2)) == 2


async def test_any_number_of_restarts_in_the_middle_of_a_step_parks_no_document() -> None:
    mill = Mill()
    _, (name,) = await mill.submit()
    for _ in range(RetryPolicy().abandoned_max + RetryPolicy().attempts_max):
        gate = Gate(expected=1)
        async with running(runner_of(mill, mill.deliveries(Obedient(gate))), drain_s=0.01):
            await gate.is_full.wait()
        await mill.inbox.move_due(partition_of(mill.knowledge_base))
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.until(is_parsed)
    assert isinstance(await mill.document(name), Parsed)


async def test_a_restarted_worker_takes_up_what_is_pending_in_its_name() -> None:
    mill = Mill()
    await mill.submit(5)
    assert len(await mill.take(Step.PARSE, WORKER, 5)) == 5
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.until(is_parsed, 5)
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_deliveries_of_the_dead_are_claimed_and_carried_out() -> None:
    mill = Mill()
    await mill.submit(3)
    await mill.inbox.beat("worker-dead")
    assert len(await mill.take(Step.PARSE, "worker-dead", 3)) == 3
    mill.clock.advance(61)
    runner, stop = runner_of(mill, mill.deliveries(Obedient(done))), asyncio.Event()
    async with running(runner):
        claims = asyncio.create_task(claim_until(stop, mill.inbox, [runner], WORKER, interval_s=0.01, lease_ms=60_000))
        await mill.until(is_parsed, 3)
        stop.set()
        await claims
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_delivery_that_is_in_hand_already_is_not_carried_out_twice() -> None:
    mill, gate = Mill(), Gate(expected=1)
    await mill.submit(1)
    processor = Obedient(gate)
    runner = runner_of(mill, mill.deliveries(processor))
    async with running(runner):
        await gate.is_full.wait()
        runner.begin(await mill.inbox.mine(runner.inboxes, consumer=WORKER, count=10))
        gate.opens.set()
        await mill.until(is_parsed)
    assert len(processor.attempts) == 1


async def test_a_held_delivery_is_tried_again_and_occupies_no_slot() -> None:
    mill = Mill()
    await mill.submit(1)
    scripted = Scripted(lambda tries: 0.001 if tries < 3 else None)
    async with running(runner_of(mill, scripted, slots=1)):
        await scripted.is_over.wait()
    assert scripted.calls == [1, 2, 3]


async def test_a_delivery_that_breaks_is_held_while_others_go_on() -> None:
    """A history that cannot be folded must neither stop the worker nor vanish."""
    mill = Mill()
    await mill.submit(2)

    class BreaksOnce:
        def __init__(self) -> None:
            self.seen: list[tuple[str, int]] = []
            self.is_over = asyncio.Event()

        async def carry_out(
            self, delivery: Delivery, tries: int, _history: list[Envelope] | None = None
        ) -> float | None:
            self.seen.append((delivery.stream_id, tries))
            if self.seen[0][0] == delivery.stream_id:
                raise CorruptEvent("bytes that are no envelope")
            self.is_over.set()
            return None

    broken = BreaksOnce()
    async with running(runner_of(mill, broken, slots=1)):
        await broken.is_over.wait()
    assert (await mill.depth(Step.PARSE)).pending == 2
    assert len(await mill.claim(Step.PARSE, "worker-2", silent_ms_min=3_600_000)) == 1


async def test_held_deliveries_are_given_back_in_the_drain() -> None:
    mill = Mill()
    await mill.submit(1)
    called = asyncio.Event()

    def hold(tries: int) -> float:
        called.set()
        return 3_600.0

    async with running(runner_of(mill, Scripted(hold))):
        await called.wait()
    assert len(await mill.claim(Step.PARSE, "worker-2", silent_ms_min=3_600_000)) == 1


async def test_an_inbox_that_does_not_answer_is_asked_again() -> None:
    mill = Mill()
    await mill.submit(1)
    take, failures = mill.inbox.take, 3

    async def unsteady(*args: object, **options: object) -> list[Delivery]:
        nonlocal failures
        if failures:
            failures -= 1
            raise (LogUnavailable("reset by peer"), LogFull("out of memory"))[failures % 2]
        return await take(*args, **options)  # type: ignore[arg-type]

    mill.inbox.take = unsteady  # type: ignore[method-assign]
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.until(is_parsed)
    assert failures == 0


class LosesReplies:
    """An inbox call that takes effect each time, and whose reply is lost the first time; the later ones arrive."""

    def __init__(self, call: Callable[..., Awaitable[list[Delivery]]]) -> None:
        self._call = call
        self.has_lost = asyncio.Event()

    async def __call__(self, *args: Any, **options: Any) -> list[Delivery]:
        taken = await self._call(*args, **options)
        if taken and not self.has_lost.is_set():
            self.has_lost.set()
            raise LogUnavailable("reset by peer")
        return taken


async def test_what_a_take_without_a_reply_has_taken_is_found_again() -> None:
    mill = Mill()
    mill.inbox.take = losing = LosesReplies(mill.inbox.take)  # type: ignore[method-assign]
    await mill.submit(2)
    async with running(runner_of(mill, mill.deliveries(Obedient(done)))):
        await mill.until(is_parsed, 2)
    assert losing.has_lost.is_set()
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_what_a_claim_without_a_reply_has_claimed_is_found_again() -> None:
    mill = Mill()
    await mill.submit(1)
    await mill.take_one(Step.PARSE, consumer="killed")
    mill.clock.advance(600)
    mill.inbox.claim_from_dead = losing = LosesReplies(mill.inbox.claim_from_dead)  # type: ignore[method-assign]
    runner, stop = runner_of(mill, mill.deliveries(Obedient(done))), asyncio.Event()
    claiming = asyncio.create_task(claim_until(stop, mill.inbox, [runner], WORKER, interval_s=0.01, lease_ms=60_000))
    async with running(runner):
        await mill.until(is_parsed)
    stop.set()
    await claiming
    assert losing.has_lost.is_set()


async def test_what_lands_after_its_caller_gave_up_is_found_once_a_lease() -> None:
    mill = Mill()
    runner, stop = runner_of(mill, mill.deliveries(Obedient(done))), asyncio.Event()
    claiming = asyncio.create_task(claim_until(stop, mill.inbox, [runner], WORKER, interval_s=0.01, lease_ms=100))
    async with running(runner):
        held = mill.inbox.take
        mill.inbox.take = _nothing  # type: ignore[method-assign, assignment]
        await mill.submit(1)
        assert len(await held(runner.inboxes, consumer=WORKER, count=1)) == 1
        await mill.until(is_parsed)
    stop.set()
    await claiming


async def _nothing(*_args: object, wait_ms: int, **_options: object) -> list[Delivery]:
    await asyncio.sleep(wait_ms / 1_000)
    return []


class Remembering:
    """Carries nothing out until it may, and remembers which histories came along."""

    def __init__(self) -> None:
        self.begun: list[tuple[Delivery, list[Envelope] | None]] = []
        self.opens = asyncio.Event()

    async def carry_out(self, delivery: Delivery, tries: int, history: list[Envelope] | None = None) -> float | None:
        self.begun.append((delivery, history))
        await self.opens.wait()
        return None


async def test_a_delivery_begins_with_the_history_that_came_along() -> None:
    mill, remembering = Mill(), Remembering()
    remembering.opens.set()
    _, (document,) = await mill.submit()
    async with running(runner_of(mill, remembering)):
        await wait_until(lambda: len(remembering.begun) == 1, "the delivery is begun")
    assert [history for _, history in remembering.begun] == [await mill.log.history(document)]


async def test_a_delivery_that_waited_for_a_slot_reads_its_history_anew() -> None:
    mill, remembering = Mill(), Remembering()
    await mill.submit(2)
    first, second = await mill.take(Step.PARSE, count=2)
    histories = {one: await mill.log.history(one.stream_id) for one in (first, second)}
    runner = runner_of(mill, remembering, slots=1)
    runner.begin([first, second], histories)
    remembering.opens.set()
    await wait_until(lambda: len(remembering.begun) == 2, "the second delivery is begun")
    assert remembering.begun == [(first, histories[first]), (second, None)]
