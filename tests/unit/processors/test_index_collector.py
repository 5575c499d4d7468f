"""Indexes that nobody reads any more are dropped once every search that may have begun in them has ended."""

from datetime import UTC, datetime, timedelta

from domain.commands import AbandonIndexGeneration, ActivateIndexGeneration, StartIndexGeneration
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from knowledge.index import IndexTable
from knowledge.memory_index import MemoryIndex
from processors.collected import Tallied
from processors.index_collector import IndexCollector
from processors.knowledge_bases import KnowledgeBases
from tests.contract.index_contract import rows_of
from tests.unit.processors.mill import Mill

GRACE = timedelta(hours=1)


async def collected(mill: Mill, index: MemoryIndex, *, later_s: float) -> set[int]:
    """The generations that are left."""
    as_of = datetime.fromtimestamp(mill.clock.now_us / 1_000_000 + later_s, UTC)
    known = KnowledgeBases(mill.log, clock_us=mill.clock)
    collector = IndexCollector(mill.log, index, known, as_of=as_of, grace=GRACE, dry_run=False)
    await collector.run(Tallied(dry_run=False))
    return {table.generation for table in await index.tables()}


async def tell(mill: Mill, *commands: StartIndexGeneration | ActivateIndexGeneration | AbandonIndexGeneration) -> None:
    decider = knowledge_base_decider(mill.knowledge_base)
    await handle(mill.log, decider, mill.knowledge_base, commands, mill.context(mill.knowledge_base))


async def test_an_old_index_goes_after_the_grace_and_the_live_one_and_the_next_stay() -> None:
    mill, index = Mill(), MemoryIndex()
    await mill.create()
    for generation in (1, 2, 3):
        await index.upsert(IndexTable(mill.knowledge_base, generation), "other", rows_of("other", ["flour"]))
    await tell(mill, StartIndexGeneration())
    assert await collected(mill, index, later_s=9_999) == {1, 2, 3}, "a number that nobody knows may be a newer fact's"
    await tell(mill, ActivateIndexGeneration(generation=2), StartIndexGeneration())
    assert await collected(mill, index, later_s=60) == {1, 2, 3}
    assert await collected(mill, index, later_s=9_999) == {2, 3}
    await tell(mill, AbandonIndexGeneration())
    assert await collected(mill, index, later_s=60) == {2, 3}
    assert await collected(mill, index, later_s=9_999) == {2}
