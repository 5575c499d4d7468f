"""Documents are processed again by a query: a dry run counts them, a repeated request begins nothing twice."""

from typing import Any

import msgspec
import pytest

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import Accepted, Indexed, Parsed
from domain.errors import RefusalCode, Refused
from domain.handle import load
from domain.status import DocumentPhase
from events.ids import DocumentId
from events.memory import MemoryLog
from ingest.problems import Rejected
from millstream.reworking import reprocess
from millstream.reworking.comparison import Compared
from millstream.reworking.reprocess import FromStep, Reprocessing, ReprocessManyBody
from millstream.reworking.where import WhereBody
from projections.cursors import Cursors
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.projecting import project
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.workshop import Workshop


async def compare(*_asked: object) -> Compared:
    """Nothing of these documents is stored; tests of settings compare."""
    return msgspec.convert(dict.fromkeys(Compared.__struct_fields__, 0) | {"is_complete": False}, Compared)


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, clock_us=lambda: 1)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        self.shop = Workshop(self.log)
        lists = Lists(self.log, self.views, Queries(self.log, self.views), Cursors(b"s" * 16))
        self.reprocessing = Reprocessing(services_in_memory(self.log, self.shop.ids, self.shop.now_us), lists, compare)

    async def prepare(self) -> None:
        """Three that are searchable, one that failed, one that waits, and one of another knowledge base."""
        self.kb_id = await self.shop.create()
        _, self.good = await self.shop.submit(self.kb_id, 3, filename="grain.pdf", metadata={"year": 2026})
        for document in self.good:
            await self.shop.complete(document)
        _, (self.failed,) = await self.shop.submit(self.kb_id, filename="broken.pdf")
        await self.shop.fail(self.failed)
        _, (self.waiting,) = await self.shop.submit(self.kb_id, filename="late.txt")
        _, (self.foreign,) = await self.shop.submit(await self.shop.create("other"))
        await self.shop.complete(self.foreign)
        await project(self.log, self.views)

    async def run(self, key: str | None = None, **asked: Any) -> reprocess.Reprocessed:
        return await self.reprocessing.run(self.kb_id, ReprocessManyBody(**asked), key, "tests")

    async def states(self, *documents: DocumentId) -> set[type]:
        return {type((await load(self.log, DOCUMENT, one)).state) for one in documents}


@pytest.fixture
async def world() -> World:
    made = World()
    await made.prepare()
    return made


async def test_a_dry_run_tells_what_would_be_and_begins_nothing(world: World) -> None:
    told = await world.run(dry_run=True, from_step=FromStep.CHUNK)
    assert (told.documents, told.by_status, told.by_step) == (
        4,
        {"failed": 1, "completed": 3},
        {"parse": 1, "chunk": 3},
    )
    assert (told.left_out, told.chunks_embedded_max, told.tokens_embedded_max, told.chunks_reused) == (1, 9, 27, 0)
    same = await world.run(dry_run=True, from_step=FromStep.EMBED, where=WhereBody(status=DocumentPhase.COMPLETED))
    assert (same.documents, same.chunks_embedded_max, same.chunks_reused) == (3, 0, 9)
    assert (told.tasks, await world.states(*world.good)) == ((), {Indexed})


async def test_what_the_query_means_is_begun_again_under_a_task_and_serves_meanwhile(world: World) -> None:
    told = await world.run(where=WhereBody(metadata={"year": 2026}, q="GRAIN"), from_step=FromStep.CHUNK)
    (task,) = told.tasks
    assert {line.document_id for line in task.documents} == set(world.good)
    assert await world.states(*world.good) == {Parsed}
    assert await world.states(world.failed, world.foreign) == await world.states(world.failed, world.foreign)
    state = (await load(world.log, DOCUMENT, world.good[0])).state
    assert isinstance(state, Parsed)
    assert state.record.serving is not None


async def test_each_begins_where_it_can(world: World) -> None:
    await world.run(from_step=FromStep.INDEX)
    assert await world.states(world.failed) == {Accepted}


async def test_a_query_that_means_nothing_begins_nothing(world: World) -> None:
    told = await world.run(where=WhereBody(q="nowhere"))
    assert (told.documents, told.tasks) == (0, ())


async def test_more_documents_than_a_task_names_are_several_tasks_and_a_repeat_answers_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprocess, "DOCUMENTS_NAMED_MAX", 2)
    first = await world.run("key")
    again = await world.run("key")
    for document in world.good:
        await world.shop.work(document, c.CancelDocument())
    await project(world.log, world.views)
    late = await world.run("key")
    assert [len(task.documents) for task in first.tasks] == [2, 2]
    ids = [[task.task_id for task in told.tasks] for told in (first, again, late)]
    assert ids == [ids[0]] * 3
    assert [told.documents for told in (first, again, late)] == [4, 4, 4]
    with pytest.raises(Refused) as refused:
        await world.run("key", from_step=FromStep.EMBED)
    assert refused.value.code is RefusalCode.IDEMPOTENCY_KEY_REUSED


async def test_a_request_that_died_half_way_is_completed_by_its_repeat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprocess, "DOCUMENTS_NAMED_MAX", 1)
    appended, append = 0, world.log.append

    async def dies(*args: Any, **options: Any) -> Any:
        nonlocal appended
        appended += 1
        if appended > 2:
            raise ConnectionError
        return await append(*args, **options)

    monkeypatch.setattr(world.log, "append", dies)
    with pytest.raises(ConnectionError):
        await world.run("key")
    monkeypatch.setattr(world.log, "append", append)
    await project(world.log, world.views)
    told = await world.run("key")
    repeated = await world.run("key")
    assert await world.states(*world.good, world.failed) == {Accepted}
    assert len(told.tasks) == 2
    assert len(repeated.tasks) == 4


async def test_one_call_takes_so_many_and_says_that_there_are_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprocess, "DOCUMENTS_MAX", 3)
    told = await world.run(dry_run=True)
    assert (told.documents, told.has_more) == (3, True)


async def test_what_cannot_be_meant_is_refused(world: World) -> None:
    with pytest.raises(Rejected):
        await world.run(where=WhereBody(metadata={"a\0": 1}))
    world.kb_id = world.shop.ids.knowledge_base(2)
    with pytest.raises(Refused) as refused:
        await world.run()
    assert refused.value.code is RefusalCode.UNKNOWN_KNOWLEDGE_BASE
