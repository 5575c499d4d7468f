"""The shell around the decisions, for several streams at once, on the log in memory."""

from itertools import count
from typing import Any

import pytest

from domain import commands as c
from domain.decider import Folded
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import Indexed, Parsed
from domain.errors import Contention, RefusalCode, Refused
from domain.handle import CONFLICTS_MAX, Context, Guard, Request, handle, handle_together
from domain.knowledge_base import active
from domain.task import OpenTask
from events import ids
from events.ids import DocumentId, TaskId
from events.inbox import InboxKey
from events.log import EventLog, Tally
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Lane, Step
from tests.facts import ACCEPT, OTHER_TASK_ID, SKIP, TASK_ID
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE
from tests.unit.domain.busy_log import EVERYTHING_AFTER, START, BusyLog, new_context, new_log

CANCEL = c.CancelDocument(reason="no longer wanted")
SUBMIT = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=2, request_sha256="a" * 64)


@pytest.fixture
def log() -> MemoryLog:
    return new_log()


@pytest.fixture
def context() -> Context:
    return new_context()


async def types(log: MemoryLog, stream_id: str) -> list[str]:
    return [envelope.type for envelope in await log.history(stream_id)]


def to_task(task: TaskId, command: c.TaskCommand) -> Request[Any, Any]:
    return Request(TASK, task, (command,))


def to_document(document: DocumentId, command: c.DocumentCommand) -> Request[Any, Any]:
    return Request(DOCUMENT, document, (command,))


def submission(task: c.TaskCommand = SUBMIT) -> list[Request[Any, Any]]:
    return [
        to_task(TASK_ID, task),
        to_document(DOCUMENTS[0], ACCEPT),
        to_document(DOCUMENTS[1], SKIP),
    ]


async def test_a_task_and_its_documents_enter_the_log_together(log: MemoryLog, context: Context) -> None:
    task, first, second = await handle_together(log, submission(), context)

    assert isinstance(task.folded.state, OpenTask)
    assert [len(one.envelopes) for one in (task, first, second)] == [1, 1, 1]
    for stream in (TASK_ID, *DOCUMENTS[:2]):
        assert len(await log.history(stream)) == 1
    assert await log.tally(TASK_ID) == Tally(open_documents=1, skipped=1)


async def test_a_repeated_submission_appends_nothing_and_answers_the_present_states(
    log: MemoryLog, context: Context
) -> None:
    await handle_together(log, submission(), context)
    await handle(log, DOCUMENT, DOCUMENTS[0], EVERYTHING_AFTER, context)
    head = await log.head(ids.partition_of(TASK_ID))

    _, first, _ = await handle_together(log, submission(), context)

    assert isinstance(first.folded.state, Indexed)
    assert first.envelopes == ()
    assert await log.head(ids.partition_of(TASK_ID)) == head


async def test_a_refusal_of_one_stream_keeps_all_out_of_the_log(log: MemoryLog, context: Context) -> None:
    nothing = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=0)
    with pytest.raises(Refused) as refused:
        await handle_together(log, submission(nothing), context)

    assert refused.value.code is RefusalCode.VALIDATION_FAILED
    for stream in (TASK_ID, *DOCUMENTS[:2]):
        assert await log.history(stream) == []


async def test_another_submission_under_the_same_id_is_refused_whole(log: MemoryLog, context: Context) -> None:
    await handle_together(log, submission()[:1], context)
    other = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=2, request_sha256="b" * 64)

    with pytest.raises(Refused) as refused:
        await handle_together(log, submission(other), context)

    assert refused.value.code is RefusalCode.IDEMPOTENCY_KEY_REUSED
    assert await log.history(DOCUMENTS[0]) == []


async def test_a_conflict_on_one_stream_leads_all_to_be_decided_anew(log: MemoryLog, context: Context) -> None:
    busy = BusyLog(log, lambda: handle(log, DOCUMENT, DOCUMENTS[1], [ACCEPT], context), times=1)

    task, first, second = await handle_together(busy, submission(), context)

    assert [len(one.envelopes) for one in (task, first, second)] == [1, 1, 0]
    assert busy.appends == 2
    assert await types(log, DOCUMENTS[1]) == ["DocumentAccepted"]


async def test_streams_that_exist_are_read_before_their_commands_are_refused(log: MemoryLog, context: Context) -> None:
    await handle_together(log, submission(), context)
    await handle(log, DOCUMENT, DOCUMENTS[0], EVERYTHING_AFTER, context)
    again = c.RequestReprocessing(from_step=Step.CHUNK, reason="again", task_id=OTHER_TASK_ID)
    one = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=1)

    requests = [to_task(OTHER_TASK_ID, one), to_document(DOCUMENTS[0], again)]
    _, document = await handle_together(log, requests, context)

    assert isinstance(document.folded.state, Parsed)
    assert await log.tally(OTHER_TASK_ID) == Tally(open_documents=1)


async def test_streams_that_exist_are_read_before_their_commands_are_taken_for_nothing(
    log: MemoryLog, context: Context
) -> None:
    await handle(log, DOCUMENT, DOCUMENTS[0], [ACCEPT], context)

    task, document = await handle_together(
        log,
        [to_task(TASK_ID, SUBMIT), to_document(DOCUMENTS[0], START)],
        context,
    )

    assert len(task.envelopes) == len(document.envelopes) == 1
    assert await types(log, DOCUMENTS[0]) == ["DocumentAccepted", "StepStarted"]


async def test_contention_between_several_streams_is_given_up_too(log: MemoryLog, context: Context) -> None:
    await handle(log, DOCUMENT, DOCUMENTS[0], [ACCEPT], context)
    attempts = count(1)

    async def start_again() -> None:
        start = c.StartStep(step=Step.PARSE, attempt=next(attempts), worker="w2")
        await handle(log, DOCUMENT, DOCUMENTS[0], [start], context)

    busy = BusyLog(log, start_again, times=10 * CONFLICTS_MAX)
    with pytest.raises(Contention):
        await handle_together(busy, [to_document(DOCUMENTS[0], CANCEL)], context)

    assert busy.appends == CONFLICTS_MAX


async def test_the_tally_follows_every_document_to_the_end_of_its_task(log: MemoryLog, context: Context) -> None:
    await handle_together(log, submission(), context)
    await handle(log, DOCUMENT, DOCUMENTS[0], EVERYTHING_AFTER, context)
    tally = await log.tally(TASK_ID)
    assert tally == Tally(succeeded=1, skipped=1)

    finished = await handle(log, TASK, TASK_ID, [c.FinishTask(tally=tally)], context)

    assert [envelope.type for envelope in finished.envelopes] == ["TaskFinished"]
    assert await log.tally(TASK_ID) == Tally()


async def test_finish_is_asked_for_by_the_append_that_ends_the_last_document_and_by_no_other(
    log: MemoryLog, context: Context
) -> None:
    finish = InboxKey(ids.partition_of(TASK_ID), Step.FINISH, Lane.INTERACTIVE)
    two = [to_task(TASK_ID, SUBMIT), *(to_document(one, ACCEPT) for one in DOCUMENTS[:2])]
    await handle_together(log, two, context)
    depths = []
    ends: dict[DocumentId, tuple[c.DocumentCommand, ...]] = {DOCUMENTS[0]: (CANCEL,), DOCUMENTS[1]: EVERYTHING_AFTER}
    for document, commands in ends.items():
        await handle(log, DOCUMENT, document, commands, context)
        depths.append((await MemoryInbox(log).depth(finish)).waiting)

    assert depths == [0, 1]


async def guarded(log: EventLog) -> Guard[Any]:
    decider = knowledge_base_decider(KNOWLEDGE_BASE)
    return await Guard(decider, KNOWLEDGE_BASE, Folded(decider.initial), active).again(log)


async def say_to_knowledge_base(log: MemoryLog, context: Context, command: c.KnowledgeBaseCommand) -> None:
    await handle(log, knowledge_base_decider(KNOWLEDGE_BASE), KNOWLEDGE_BASE, [command], context)


async def test_nothing_enters_a_knowledge_base_that_is_deleted_in_the_very_instant(
    log: MemoryLog, context: Context
) -> None:
    await say_to_knowledge_base(log, context, c.CreateKnowledgeBase(name="Handbook"))
    guard = await guarded(log)
    busy = BusyLog(log, lambda: say_to_knowledge_base(log, context, c.DeleteKnowledgeBase()), times=1)

    with pytest.raises(Refused) as refused:
        await handle_together(busy, submission(), context, guard=guard)

    assert refused.value.code is RefusalCode.KNOWLEDGE_BASE_DELETED
    assert await log.versions([TASK_ID, *DOCUMENTS[:2]]) == [0, 0, 0]


async def test_a_knowledge_base_that_changed_takes_the_submission_in_one_more_call(
    log: MemoryLog, context: Context
) -> None:
    await say_to_knowledge_base(log, context, c.CreateKnowledgeBase(name="Handbook"))
    guard = await guarded(log)
    busy = BusyLog(log, lambda: say_to_knowledge_base(log, context, c.ChangeKnowledgeBase(name="Manual")), times=1)

    await handle_together(busy, submission(), context, guard=guard)

    assert busy.appends == 2
    assert await log.versions([TASK_ID, *DOCUMENTS[:2]]) == [1, 1, 1]
