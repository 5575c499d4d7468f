"""Dead letters in the views: listed by what is asked, in the order of the failures, gone once they are begun again."""

import pytest

from domain import commands as c
from domain.dead_letters import DeadLetterQuery
from domain.deciders import DOCUMENT, TASK
from domain.errors import RefusalCode, Refused
from domain.handle import Context, Request, handle_together
from domain.instant import EPOCH
from domain.status import DocumentPhase, TaskPhase
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.memory import MemoryLog
from events.steps import Step
from events.task import TaskSource
from projections.cursors import Cursors
from projections.dead_letters import every_dead_letter
from projections.errors import InvalidCursor
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.task_history import TaskHistory
from tests.event_samples import new_knowledge_base
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

    async def fail(self, document: DocumentId, code: str, step: Step = Step.PARSE) -> None:
        if step is Step.CHUNK:
            await self.workshop.parse(document)
        await self.workshop.start(document, step)
        await self.workshop.work(document, c.FailStep(step=step, attempt=1, code=code, message="it broke"))

    async def retry(self, knowledge_base: KnowledgeBaseId, *documents: DocumentId) -> TaskId:
        task = self.workshop.ids.task(knowledge_base)
        submit = c.SubmitTask(
            knowledge_base_id=knowledge_base,
            documents=len(documents),
            source=TaskSource.RETRY,
            document_ids=documents,
        )
        again = c.RequestReprocessing(reason="retry", task_id=task)
        context = Context(
            clock_us=self.workshop.now_us, new_event_id=self.workshop.ids.event, correlation_id=task, actor="tests"
        )
        requests = [Request(DOCUMENT, one, (again,)) for one in documents]
        await handle_together(self.log, [Request(TASK, task, (submit,)), *requests], context)
        return task

    async def listed(self, query: DeadLetterQuery) -> list[DocumentId]:
        listing = await self.lists.dead_letters(query)
        assert listing.total == len(listing.data)
        walked = [one.document_id async for one in every_dead_letter(self.queries, self.views, query)]
        assert sorted(walked) == sorted(one.document_id for one in listing.data)
        return [one.document_id for one in listing.data]


@pytest.fixture
def world() -> World:
    return World()


async def test_dead_letters_are_found_by_each_way_to_ask_the_last_failure_first(world: World) -> None:
    one, other = await world.workshop.create(partition=0), await world.workshop.create(partition=1)
    _, (first, second, healthy) = await world.workshop.submit(one, 3)
    _, (third,) = await world.workshop.submit(other, 1)
    await world.fail(second, "no_text", Step.CHUNK)
    await world.fail(first, "parse_failed")
    await world.fail(third, "parse_failed")
    await world.workshop.complete(healthy)
    await world.project()
    assert await world.listed(DeadLetterQuery()) == [third, first, second]
    assert await world.listed(DeadLetterQuery(code="parse_failed")) == [third, first]
    assert await world.listed(DeadLetterQuery(step=Step.CHUNK)) == [second]
    assert await world.listed(DeadLetterQuery(knowledge_base_id=one)) == [first, second]
    assert await world.listed(DeadLetterQuery(code="no_text", step=Step.CHUNK, knowledge_base_id=one)) == [second]
    assert await world.listed(DeadLetterQuery(code="no_text", step=Step.PARSE)) == []
    shown = (await world.lists.dead_letters(DeadLetterQuery(step=Step.CHUNK))).data[0]
    assert (shown.code, shown.message, shown.attempts, shown.filename) == ("no_text", "it broke", 1, "报告.txt")


async def test_since_counts_from_the_failure_and_is_part_of_the_total(world: World) -> None:
    knowledge_base = await world.workshop.create()
    _, documents = await world.workshop.submit(knowledge_base, 5)
    for document in documents:
        await world.fail(document, "parse_failed")
    await world.project()
    every = (await world.lists.dead_letters(DeadLetterQuery())).data
    times_us = [round((letter.failed_at - EPOCH).total_seconds() * 1_000_000) for letter in every]
    assert times_us == sorted(times_us, reverse=True)
    assert await world.listed(DeadLetterQuery(since_us=times_us[2])) == [one.document_id for one in every[:3]]
    assert await world.listed(DeadLetterQuery(since_us=times_us[0] + 1)) == []
    page = await world.lists.dead_letters(DeadLetterQuery(since_us=times_us[2]), limit=2)
    assert (len(page.data), page.total) == (2, 3)
    rest = await world.lists.dead_letters(DeadLetterQuery(since_us=times_us[2]), limit=2, cursor=page.next_cursor)
    assert ([one.document_id for one in rest.data], rest.next_cursor) == ([every[2].document_id], None)
    with pytest.raises(InvalidCursor):
        await world.lists.dead_letters(DeadLetterQuery(since_us=times_us[3]), cursor=page.next_cursor)


async def test_a_dead_letter_leaves_when_it_is_begun_again_and_comes_back_where_it_failed_last(world: World) -> None:
    knowledge_base = await world.workshop.create()
    _, (document, other) = await world.workshop.submit(knowledge_base, 2)
    await world.fail(document, "parse_failed")
    await world.fail(other, "parse_failed")
    await world.project()
    await world.retry(knowledge_base, document)
    await world.project()
    assert await world.listed(DeadLetterQuery()) == [other]
    await world.workshop.start(document, attempt=2)
    await world.workshop.work(document, c.FailStep(step=Step.PARSE, attempt=2, code="time_limit", message="slow"))
    await world.project()
    assert await world.listed(DeadLetterQuery()) == [document, other]
    assert await world.listed(DeadLetterQuery(code="parse_failed")) == [other]
    await world.workshop.work(document, c.RemoveDocument())
    await world.project()
    assert await world.listed(DeadLetterQuery()) == [other]


async def test_a_query_for_an_unknown_knowledge_base_is_refused(world: World) -> None:
    query = DeadLetterQuery(knowledge_base_id=new_knowledge_base(0))
    with pytest.raises(Refused) as refused:
        await world.lists.dead_letters(query)
    assert refused.value.code is RefusalCode.UNKNOWN_KNOWLEDGE_BASE


async def test_a_retry_is_the_same_task_with_the_same_documents_before_and_after_it_is_projected(world: World) -> None:
    knowledge_base = await world.workshop.create()
    first, (failed, healthy) = await world.workshop.submit(knowledge_base, 2)
    await world.fail(failed, "no_text", Step.CHUNK)
    await world.workshop.complete(healthy)
    await world.workshop.finish(first)
    again = await world.retry(knowledge_base, failed)
    await world.workshop.start(failed, Step.CHUNK, attempt=2)
    before = await world.queries.task(again), (await world.lists.task_documents(again)).data
    await world.project()
    after = await world.queries.task(again), (await world.lists.task_documents(again)).data
    assert before == after
    status, (document,) = after
    assert (status.source, status.status, status.documents.total) == (TaskSource.RETRY, TaskPhase.PROCESSING, 1)
    assert (document.document_id, document.task_id, document.status) == (failed, again, DocumentPhase.CHUNKING)
    ended = await world.queries.task(first)
    assert (ended.status, ended.documents.failed, ended.documents.completed) == (TaskPhase.PARTIAL, 1, 1)
    facts = [fact.type for fact in (await world.history.facts(again)).data]
    assert facts == ["TaskSubmitted", "ReprocessingRequested", "StepStarted"]
