"""What was accepted is known at once, however far behind the projector is; answers do not depend on it."""

import pytest

from domain.commands import (
    CancelTask,
    ChangeKnowledgeBase,
    DeleteKnowledgeBase,
    RemoveDocument,
    RequestReprocessing,
    SubmitTask,
)
from domain.deciders import TASK
from domain.errors import RefusalCode, Refused
from domain.handle import Context, handle
from domain.status import DocumentPhase, TaskPhase
from events.errors import InvalidId
from events.ids import KnowledgeBaseId, TaskId
from events.memory import MemoryLog
from events.steps import Step
from events.task import TaskSource
from projections.cursors import Cursors
from projections.document_filter import DocumentFilter
from projections.errors import InvalidCursor
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.task_history import TaskHistory
from tests.event_samples import new_document, new_knowledge_base, new_task
from tests.projecting import project
from tests.workshop import Workshop

PARTITIONS = 2


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=PARTITIONS, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        self.queries = Queries(self.log, self.views)
        cursors = Cursors(b"a secret of sixteen bytes or more")
        self.lists = Lists(self.log, self.views, self.queries, cursors)
        self.history = TaskHistory(self.log, self.queries, cursors)

    async def project(self) -> None:
        await project(self.log, self.views)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_task_is_the_same_before_and_after_the_projector_reached_it(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.submit(knowledge_base, 3)
    await world.workshop.complete(documents[0])
    await world.workshop.fail(documents[1])
    before = await world.queries.task(task)
    before_documents = await world.lists.task_documents(task)
    before_one = await world.queries.document(documents[0])
    assert before.status is TaskPhase.PROCESSING
    assert (before.documents.completed, before.documents.failed, before.documents.queued) == (1, 1, 1)
    await world.project()
    assert await world.queries.task(task) == before
    assert await world.lists.task_documents(task) == before_documents
    assert await world.queries.document(documents[0]) == before_one
    assert [one.document_id for one in before_documents.data] == documents


async def test_who_was_told_what_the_log_says_is_not_told_an_older_state_by_the_view(world: World) -> None:
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await world.project()
    queued = await world.queries.task(task)
    await world.workshop.complete(document)
    told = await world.queries.task(task, told=queued.version + 1)
    assert told.version > queued.version
    assert await world.queries.task(task) == told, "nobody is told less than somebody was told before"
    assert await Queries(world.log, world.views).task(task) == queued, "the view has not come so far"
    await world.project()
    assert await world.queries.task(task, told=told.version) == told


async def test_what_does_not_exist_is_unknown(world: World) -> None:
    knowledge_base = await world.workshop.create()
    _, (document,) = await world.workshop.submit(knowledge_base)
    other = await world.workshop.create("other")
    for asking, code in (
        (world.queries.task(new_task()), RefusalCode.UNKNOWN_TASK),
        (world.lists.task_documents(new_task()), RefusalCode.UNKNOWN_TASK),
        (world.history.facts(new_task()), RefusalCode.UNKNOWN_TASK),
        (world.queries.document(new_document()), RefusalCode.UNKNOWN_DOCUMENT),
        (world.queries.document_in(other, document), RefusalCode.UNKNOWN_DOCUMENT),
        (world.queries.knowledge_base(new_knowledge_base()), RefusalCode.UNKNOWN_KNOWLEDGE_BASE),
        (world.queries.search_scope(new_knowledge_base()), RefusalCode.UNKNOWN_KNOWLEDGE_BASE),
        (world.lists.documents(new_knowledge_base()), RefusalCode.UNKNOWN_KNOWLEDGE_BASE),
        (world.lists.tasks(knowledge_base=new_knowledge_base()), RefusalCode.UNKNOWN_KNOWLEDGE_BASE),
    ):
        with pytest.raises(Refused) as caught:
            await asking
        assert caught.value.code is code


async def test_an_id_of_a_partition_that_is_not_there_is_no_id(world: World) -> None:
    with pytest.raises(InvalidId):
        await world.queries.task(new_task(PARTITIONS))


async def test_a_knowledge_base_is_read_as_it_was_written_last(world: World) -> None:
    knowledge_base = await world.workshop.create("first")
    assert (await world.queries.knowledge_base(knowledge_base)).name == "first"
    await world.workshop.through(knowledge_base, 2)
    await world.project()
    await world.workshop.tell(knowledge_base, ChangeKnowledgeBase(name="second"))
    renamed = await world.queries.knowledge_base(knowledge_base)
    assert (renamed.name, renamed.documents.completed, renamed.chunks) == ("second", 2, 6)
    await world.project()
    assert await world.queries.knowledge_base(knowledge_base) == renamed
    await world.workshop.tell(knowledge_base, DeleteKnowledgeBase())
    with pytest.raises(Refused):
        await world.queries.knowledge_base(knowledge_base)
    with pytest.raises(Refused) as caught:
        await world.queries.search_scope(knowledge_base)
    assert caught.value.code is RefusalCode.KNOWLEDGE_BASE_DELETED


async def test_the_list_of_knowledge_bases_shows_what_happened_a_moment_ago(world: World) -> None:
    old = [await world.workshop.create(f"kb {number}") for number in range(4)]
    await world.project()
    await world.workshop.tell(old[0], ChangeKnowledgeBase(name="renamed"))
    await world.workshop.tell(old[1], DeleteKnowledgeBase())
    new = await world.workshop.create("new")
    fresh = await world.lists.knowledge_bases()
    assert [one.knowledge_base_id for one in fresh.data] == [new, old[3], old[2], old[0]]
    assert (fresh.data[-1].name, fresh.total) == ("renamed", 4)
    for name, expected in (("renamed", [old[0]]), ("kb 0", []), ("kb 1", []), ("new", [new]), ("kb 3", [old[3]])):
        found = await world.lists.knowledge_bases(name=name)
        assert ([one.knowledge_base_id for one in found.data], found.total) == (expected, len(expected))
    pages, cursor = list[object](), None
    while True:
        page = await world.lists.knowledge_bases(limit=1, cursor=cursor)
        pages += page.data
        cursor = page.next_cursor
        if cursor is None:
            break
    assert tuple(pages) == fresh.data
    await world.project()
    assert await world.lists.knowledge_bases() == fresh


async def test_lists_are_filtered_by_status_and_counted_whole(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    other = await world.workshop.create("other", partition=1)
    done, _ = await world.workshop.through(knowledge_base, 2)
    failed, (broken,) = await world.workshop.submit(knowledge_base)
    await world.workshop.fail(broken)
    await world.workshop.finish(failed)
    waiting, (queued,) = await world.workshop.submit(knowledge_base)
    elsewhere, _ = await world.workshop.submit(other)
    await world.project()
    everything = await world.lists.tasks()
    assert [one.task_id for one in everything.data] == [elsewhere, waiting, failed, done]
    of_base = await world.lists.tasks(knowledge_base=knowledge_base, limit=2)
    assert ([one.task_id for one in of_base.data], of_base.total) == ([waiting, failed], 3)
    for phase, expected in ((TaskPhase.QUEUED, [elsewhere, waiting]), (TaskPhase.FAILED, [failed])):
        assert [one.task_id for one in (await world.lists.tasks(phase=phase)).data] == expected
    assert (await world.lists.tasks(phase=TaskPhase.PARTIAL)).total == 0
    documents = await world.lists.documents(knowledge_base, wanted=DocumentFilter(phase=DocumentPhase.FAILED))
    assert [one.document_id for one in documents.data] == [broken]
    assert (await world.lists.documents(knowledge_base)).total == 4
    assert (await world.lists.documents(knowledge_base, wanted=DocumentFilter(phase=DocumentPhase.QUEUED))).data[
        0
    ].document_id == queued
    await world.workshop.work(queued, RemoveDocument())
    await world.project()
    assert (await world.lists.documents(knowledge_base)).total == 3


async def test_a_cursor_of_one_list_is_none_of_another(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, _ = await world.workshop.submit(knowledge_base, 3)
    await world.project()
    cursor = (await world.lists.task_documents(task, limit=1)).next_cursor
    assert cursor is not None
    for asking in (
        world.lists.documents(knowledge_base, cursor=cursor),
        world.lists.tasks(cursor=cursor),
        world.history.facts(task, cursor=cursor),
        world.lists.knowledge_bases(cursor=cursor),
    ):
        with pytest.raises(InvalidCursor):
            await asking


async def test_a_task_that_reprocesses_lists_the_documents_that_entered_it(world: World) -> None:
    knowledge_base = await world.workshop.create()
    first, documents = await world.workshop.through(knowledge_base, 3)
    second = await _reprocessing_task(world, knowledge_base, documents=2)
    for document in documents[1:]:
        again = RequestReprocessing(from_step=Step.EMBED, reason="settings", task_id=second)
        await world.workshop.work(document, again)
    await world.project()
    listed = await world.lists.task_documents(second)
    assert sorted(one.document_id for one in listed.data) == sorted(documents[1:])
    assert {one.task_id for one in listed.data} == {second}
    assert (await world.queries.task(second)).documents.processing == 2
    assert (await world.queries.task(first)).status is TaskPhase.COMPLETED
    assert [one.document_id for one in (await world.lists.task_documents(first)).data] == documents
    own, later = await world.history.facts(first), await world.history.facts(second)
    assert [fact.type for fact in later.data] == ["TaskSubmitted", "ReprocessingRequested", "ReprocessingRequested"]
    assert "ReprocessingRequested" not in {fact.type for fact in own.data}


async def test_a_tasks_history_is_told_in_order_and_by_pages(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.through(knowledge_base, 2)
    whole = await world.history.facts(task, limit=200)
    types = [fact.type for fact in whole.data]
    assert types[:3] == ["TaskSubmitted", "DocumentAccepted", "DocumentAccepted"]
    assert (types[-1], whole.total, whole.next_cursor) == ("TaskFinished", 2 * 10 + 2, None)
    assert whole.data[1].data["filename"] == "报告.txt"
    assert (whole.data[1].stream_id, whole.data[1].actor) == (documents[0], "tests")
    assert [fact.recorded_at for fact in whole.data] == sorted(fact.recorded_at for fact in whole.data)
    pages, cursor = list[object](), None
    while True:
        page = await world.history.facts(task, limit=7, cursor=cursor)
        pages += page.data
        cursor = page.next_cursor
        if cursor is None:
            break
    assert tuple(pages) == whole.data


async def test_every_document_of_a_knowledge_base_is_told_once_projected_or_not(world: World) -> None:
    knowledge_base = await world.workshop.create(partition=0)
    other = await world.workshop.create("other", partition=0)
    _, early = await world.workshop.submit(knowledge_base, 3)
    await world.project()
    _, late = await world.workshop.submit(knowledge_base, 2)
    _, requested = await world.workshop.request(knowledge_base)
    await world.workshop.submit(other, 2)
    found = [one async for one in world.queries.documents_of(knowledge_base)]
    assert sorted(found) == sorted([*early, *late, requested])
    await world.project()
    again = [one async for one in world.queries.documents_of(knowledge_base)]
    assert sorted(again) == sorted(found)


async def test_the_counters_of_a_knowledge_base_are_zero_until_the_projector_came(world: World) -> None:
    knowledge_base = await world.workshop.create()
    await world.workshop.through(knowledge_base)
    assert (await world.queries.knowledge_base_counts(knowledge_base)).completed == 0
    await world.project()
    assert (await world.queries.knowledge_base_counts(knowledge_base)).completed == 1


async def test_a_cancelled_task_says_so_before_its_documents_end(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, _ = await world.workshop.submit(knowledge_base)
    await handle(world.log, TASK, task, [CancelTask()], _context(world, task))
    status = await world.queries.task(task)
    assert status.cancelled_at is not None
    await world.project()
    assert await world.queries.task(task) == status


async def _reprocessing_task(world: World, knowledge_base: KnowledgeBaseId, *, documents: int) -> TaskId:
    task = world.workshop.ids.task(knowledge_base)
    submit = SubmitTask(knowledge_base_id=knowledge_base, documents=documents, source=TaskSource.REINDEX)
    await handle(world.log, TASK, task, [submit], _context(world, task))
    return task


def _context(world: World, task: TaskId) -> Context:
    return Context(clock_us=world.workshop.now_us, new_event_id=world.workshop.ids.event, correlation_id=task)
