"""Documents that were under way whenever a worker died: which of them kills is found out one by one."""

import asyncio

import pytest

from domain.commands import StartStep
from events.ids import DocumentId
from events.steps import Step
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.step import Outcome, Work
from tests.unit.processors.mill import Mill, Obedient, done


@pytest.mark.parametrize(("deaths", "at_once"), [(1, 2), (2, 1)])
async def test_of_those_whose_next_death_is_the_last_one_runs_at_a_time(deaths: int, at_once: int) -> None:
    mill, running, most = Mill(), 0, 0

    async def count(work: Work) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        return await done(work)

    _, documents = await mill.submit(2)
    await die_in(mill, documents, deaths)
    deliveries = DocumentDeliveries(Obedient(count), mill.bench(), KnowledgeBases(mill.log, clock_us=mill.clock))
    taken = await mill.take(Step.PARSE, count=2)
    assert len(taken) == 2
    await asyncio.gather(*(deliveries.carry_out(one, 1) for one in taken))
    assert most == at_once
    assert await mill.take(Step.CHUNK) != []


async def die_in(mill: Mill, documents: list[DocumentId], deaths: int) -> None:
    """Workers begin all of them and end none."""
    for attempt in range(1, deaths + 1):
        for document in documents:
            await mill.say(document, StartStep(step=Step.PARSE, attempt=attempt, worker=f"killed-{attempt}"))
