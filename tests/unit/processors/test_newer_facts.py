"""A delivery to a stream that a newer program has written to is that program's: it is given back, never carried out."""

import pytest

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.handle import handle, load
from events.errors import NewerFacts
from events.inbox import RELEASED
from events.steps import Step
from processors.runner import Runner
from tests.future import written_in_version
from tests.unit.processors.mill import Mill, Obedient, done
from tests.unit.processors.test_runner import running
from tests.waiting import wait_for


async def parsed_by_a_newer_program(mill: Mill) -> str:
    await mill.create()
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    await mill.deliveries(Obedient(done)).carry_out(delivery, 1)
    assert written_in_version(mill.log, "DocumentParsed", 2) == 1
    return document


async def test_nothing_is_decided_on_a_state_that_never_was() -> None:
    mill = Mill()
    document = await parsed_by_a_newer_program(mill)
    with pytest.raises(NewerFacts, match="DocumentParsed in version 2"):
        await load(mill.log, DOCUMENT, document)
    with pytest.raises(NewerFacts):
        await handle(mill.log, DOCUMENT, document, [c.CancelDocument(reason="")], mill.context(document))


async def test_the_delivery_is_given_back_for_whoever_can_read_it() -> None:
    mill = Mill()
    document = await parsed_by_a_newer_program(mill)
    chunk = Obedient(done, step=Step.CHUNK)
    runner = Runner(
        Step.CHUNK,
        mill.deliveries(chunk),
        mill.inbox,
        consumer="older",
        partitions=mill.log.partitions,
        slots=1,
        take_wait_ms=20,
        random=lambda: 0.001,
    )

    async def is_given_back() -> bool:
        inboxes = [one for state in mill.log.store.partitions for one in state.inboxes.values()]
        return any(holder == RELEASED for inbox in inboxes for holder in inbox.pending.values())

    async with running(runner):
        await wait_for(is_given_back, "the delivery is given back")
    assert chunk.attempts == []
    versions = await mill.log.versions([document])
    assert versions == [3], "nothing was appended"
    (claimed,) = await mill.claim(Step.CHUNK, "newer")
    written_in_version(mill.log, "DocumentParsed", 1)
    await mill.deliveries(chunk, "newer").carry_out(claimed, 1)
    assert len(chunk.attempts) == 1
