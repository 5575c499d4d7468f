"""Two deliveries of one event: the work is done once, and nobody is taken for dead."""

import asyncio
from typing import NamedTuple

import pytest

from domain.commands import StartStep
from domain.document import Parsed
from events.envelope import Envelope
from events.ids import DocumentId
from events.inbox import Delivery, InboxDepth
from events.steps import Step
from processors.step import Outcome, Work
from tests.unit.processors.mill import Mill, Obedient, done

NOTHING = InboxDepth(waiting=0, pending=0)


@pytest.fixture
def mill() -> Mill:
    return Mill()


def double_of(mill: Mill, delivery: Delivery) -> None:
    """A second pointer to the same event, as a relay or a restored inbox may put it."""
    inbox = mill.log.store.partition(delivery.partition).inbox(delivery.step, delivery.lane)
    inbox.enter(next(iter(inbox.entries.values())), mill.clock.now_us // 1_000)


class Doubled(NamedTuple):
    """What worker-1 took of a document, and its double that worker-2 took."""

    document: DocumentId
    delivery: Delivery
    double: Delivery


async def doubled(mill: Mill) -> Doubled:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    double_of(mill, delivery)
    return Doubled(document, delivery, await mill.take_one(Step.PARSE, "worker-2"))


async def begin(mill: Mill, taken: Doubled) -> None:
    """Worker-1 is at it."""
    started = StartStep(step=Step.PARSE, attempt=1, worker="worker-1", delivery=taken.delivery.entry_id)
    await mill.say(taken.document, started)


async def test_doubles_of_a_delivery_neither_break_its_attempt_off_nor_count_as_deaths(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(work: Work) -> Outcome:
        begun.set()
        await may_end.wait()
        return await done(work)

    processor = Obedient(slowly)
    delivery = await mill.take_one(Step.PARSE)
    first = asyncio.create_task(mill.deliveries(processor).carry_out(delivery, 1))
    await begun.wait()
    doubles = []
    for number in range(5):
        double_of(mill, delivery)
        worker = f"worker-{number + 2}"
        doubles.append((worker, await mill.take_one(Step.PARSE, worker)))
        again_s = await mill.deliveries(processor, worker).carry_out(doubles[-1][1], 1)
        assert again_s is not None
        assert 0 < again_s <= 5
    may_end.set()
    assert await first is None
    for worker, double in doubles:
        assert await mill.deliveries(processor, worker).carry_out(double, 2) is None
    assert len(processor.attempts) == 1
    assert isinstance(await mill.document(document), Parsed)
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_double_goes_on_at_once_where_the_delivery_that_it_doubles_is_in_no_inbox(mill: Mill) -> None:
    processor, taken = Obedient(done), await doubled(mill)
    await begin(mill, taken)
    deliveries = mill.deliveries(processor, "worker-2")
    assert await deliveries.carry_out(taken.double, 1) is not None
    await mill.inbox.acknowledge(taken.delivery)
    assert await deliveries.carry_out(taken.double, 2) is None
    assert isinstance(await mill.document(taken.document), Parsed)


async def test_a_double_goes_on_where_the_attempt_that_it_waits_for_takes_longer_than_any_may(mill: Mill) -> None:
    processor, taken = Obedient(done), await doubled(mill)
    await begin(mill, taken)
    deliveries = mill.deliveries(processor, "worker-2")
    assert await deliveries.carry_out(taken.double, 1) is not None
    mill.clock.advance(processor.time_limit_s + 1)
    assert await deliveries.carry_out(taken.double, 2) is None
    assert isinstance(await mill.document(taken.document), Parsed)


async def test_a_double_is_over_where_the_other_ended_between_two_looks(mill: Mill) -> None:
    processor, taken = Obedient(done), await doubled(mill)
    read = mill.log.history

    async def then_it_ends(stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        history = await read(stream_id, after_version=after_version)
        mill.log.history = read  # type: ignore[method-assign]  # what others do between two calls of this one
        assert await mill.deliveries(processor).carry_out(taken.delivery, 1) is None
        return history

    await begin(mill, taken)
    mill.log.history = then_it_ends  # type: ignore[method-assign]
    assert await mill.deliveries(processor, "worker-2").carry_out(taken.double, 1) is None
    assert [work.worker for work in processor.attempts] == ["worker-1"]
