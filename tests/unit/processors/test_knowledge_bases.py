"""Knowledge bases as a worker knows them: read on behind what is known, and now and then from the beginning."""

import copy

from domain.commands import ChangeKnowledgeBase
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from events.envelope import Envelope
from processors.knowledge_bases import FRESH_US, WHOLE_US, KnowledgeBases
from tests.unit.processors.mill import Mill

SECOND_US = 1_000_000


async def rename(mill: Mill, name: str) -> None:
    kb = mill.knowledge_base
    command = ChangeKnowledgeBase(name=name)
    await handle(mill.log, knowledge_base_decider(kb), kb, [command], mill.context(kb))


async def name_in(known: KnowledgeBases, mill: Mill) -> str:
    return (await known.active(mill.knowledge_base)).name


async def test_what_changes_is_known_a_second_later_and_only_that_is_read() -> None:
    mill = Mill()
    await mill.create()
    known, asked, history = KnowledgeBases(mill.log, clock_us=mill.clock), list[int](), mill.log.history

    async def noted(stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        asked.append(after_version)
        return await history(stream_id, after_version=after_version)

    mill.log.history = noted  # type: ignore[method-assign]
    assert await name_in(known, mill) == "mill"
    await rename(mill, "other")
    asked.clear()
    assert await name_in(known, mill) == "mill"
    mill.clock.advance(FRESH_US / SECOND_US)
    assert await name_in(known, mill) == "other"
    assert asked == [1]


async def test_what_the_log_has_lost_is_forgotten_though_another_change_has_its_version() -> None:
    mill = Mill()
    await mill.create()
    known = KnowledgeBases(mill.log, clock_us=mill.clock)
    (partition,) = (one for one in range(mill.log.partitions) if mill.log.store.partitions[one].log)
    before = copy.deepcopy(mill.log.store.partitions[partition])
    await rename(mill, "lost")
    assert await name_in(known, mill) == "lost"
    mill.log.store.partitions[partition] = before
    await rename(mill, "present")
    mill.clock.advance(WHOLE_US / SECOND_US)
    assert await name_in(known, mill) == "present"
