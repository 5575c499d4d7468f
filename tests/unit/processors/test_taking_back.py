"""Nothing stays of work that nobody wants, whoever is the last to know of it."""

import pytest

from domain.commands import CancelDocument, RemoveDocument, StartStep
from domain.document import Cancelled, DocumentState, Failed, Removed
from events.inbox import InboxDepth
from events.steps import Step
from knowledge.errors import IndexUnavailable
from processors.retry import RetryPolicy
from processors.step import Outcome, Reject, Retry, Work
from tests.unit.processors.mill import Mill, Obedient, answering, done

NOTHING = InboxDepth(waiting=0, pending=0)
IN_HAND = InboxDepth(waiting=0, pending=1)


@pytest.fixture
async def mill() -> Mill:
    mill = Mill()
    await mill.create()
    return mill


class Crashing(Obedient):
    """Its worker dies in the middle of taking back, the first time."""

    async def abandon(self, work: Work, now: DocumentState) -> None:
        await super().abandon(work, now)
        if len(self.abandoned) == 1:
            raise SystemError("killed")


async def test_what_was_cancelled_while_it_waited_for_a_retry_is_taken_back_when_the_retry_is_due(mill: Mill) -> None:
    processor = Obedient(answering(Retry("index_unavailable", "the reply was lost")))
    _, (document,) = await mill.submit()
    await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    await mill.say(document, CancelDocument())
    mill.clock.advance(600)
    assert sum([await mill.inbox.move_due(partition) for partition in range(mill.log.partitions)]) == 1
    await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    assert [type(state) for state in processor.abandoned] == [Cancelled]
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_whoever_claims_from_a_dead_worker_takes_back_what_that_one_did_for_a_removed_document(
    mill: Mill,
) -> None:
    processor = Obedient(done)
    _, (document,) = await mill.submit()
    await mill.take_one(Step.PARSE, consumer="killed")
    await mill.say(document, StartStep(step=Step.PARSE, attempt=1, worker="killed"), RemoveDocument())
    mill.clock.advance(600)
    (claimed,) = await mill.claim(Step.PARSE, "worker-2")
    await mill.deliveries(processor, "worker-2").carry_out(claimed, 1)
    assert [type(state) for state in processor.abandoned] == [Removed]
    assert await mill.depth(Step.PARSE) == NOTHING


@pytest.mark.parametrize("outcome", [Reject("broken", "never"), Retry("time_limit", "too late")])
async def test_a_document_that_fails_for_good_is_taken_back_before_its_delivery_goes(
    mill: Mill, outcome: Outcome
) -> None:
    processor = Crashing(answering(outcome))
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    deliveries = mill.deliveries(processor, policy=RetryPolicy(attempts_max=1))
    with pytest.raises(SystemError):
        await deliveries.carry_out(delivery, 1)
    assert isinstance(await mill.document(document), Failed)
    assert await mill.depth(Step.PARSE) == IN_HAND, "whoever claims it goes on where the dead one stood"
    await deliveries.carry_out(delivery, 1)
    assert [type(state) for state in processor.abandoned] == [Failed, Failed]
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_parked_document_is_taken_back_after_the_fact(mill: Mill) -> None:
    """Before it, an attempt that was only slow might still have its result recorded, and lose its rows."""
    processor = Obedient(done)
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    for attempt in (1, 2, 3):
        await mill.say(document, StartStep(step=Step.PARSE, attempt=attempt, worker=f"killed-{attempt}"))
    await mill.deliveries(processor).carry_out(delivery, 1)
    assert [type(state) for state in processor.abandoned] == [Failed]
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_taking_back_waits_for_a_store_that_is_away(mill: Mill) -> None:
    class Away(Obedient):
        async def abandon(self, work: Work, now: DocumentState) -> None:
            await super().abandon(work, now)
            if len(self.abandoned) < 3:
                raise IndexUnavailable("reset by peer")

    processor = Away(answering(Reject("broken", "never")))
    await mill.submit()
    policy = RetryPolicy(base_s=0.001)
    await mill.deliveries(processor, policy=policy).carry_out(await mill.take_one(Step.PARSE), 1)
    assert len(processor.abandoned) == 3
    assert await mill.depth(Step.PARSE) == NOTHING
