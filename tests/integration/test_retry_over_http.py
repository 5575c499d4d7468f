"""What ended is begun again over HTTP: a task's failed documents, one document, dead letters by a query."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from domain import commands as c
from domain.deciders import DOCUMENT, TASK
from domain.document import DocumentState, Open, awaited_step, record_of
from domain.handle import handle, load
from domain.task import FinishedTask, OpenTask, TaskOutcome
from events.document import ReprocessingRequested
from events.ids import KnowledgeBaseId
from events.inbox import Delivery
from events.log import Appended, Conflict, Taken, Tally, Write
from events.memory import MemoryLog
from events.steps import Step
from tests.facts import result_of
from tests.integration.ingest_app import PARTITIONS, Mill, make_services, now_us, running_mill

KBS = "/api/v1/knowledge-bases"
DEAD = "/api/v1/dead-letters"


class InterruptedLog(MemoryLog):
    """A log on which `meanwhile` happens once, right before the next append of several streams."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        meanwhile = self.meanwhile
        if meanwhile is not None and len(writes) > 1:
            self.meanwhile = None
            await meanwhile()
        return await super().append(writes, acknowledge=acknowledge)


@pytest.fixture
def log() -> InterruptedLog:
    return InterruptedLog(partitions=PARTITIONS, clock_us=now_us)


@pytest.fixture
async def mill(tmp_path: Path, log: InterruptedLog) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path, log=log)) as mill:
        yield mill


async def upload(mill: Mill, kb: KnowledgeBaseId, count: int) -> tuple[str, list[str]]:
    files = [("file", (f"{number}.txt", f"text {number}".encode())) for number in range(count)]
    answer = await mill.client.post(f"{KBS}/{kb}/documents", files=files)
    assert answer.status_code == 202
    return answer.json()["task_id"], [line["document_id"] for line in answer.json()["documents"]]


async def say(mill: Mill, document: str, *commands: c.DocumentCommand) -> None:
    """As a worker says it."""
    state = await state_of(mill, document)
    context = mill.services.context(record_of(state).about.task_id, "worker")  # type: ignore[arg-type]
    await handle(mill.services.log, DOCUMENT, document, commands, context)


async def parse(mill: Mill, document: str) -> None:
    parsed = c.RecordParsed(attempt=1, text_blob="t", parser="plain", pages=1, characters=9)
    await say(mill, document, c.StartStep(step=Step.PARSE, attempt=1, worker="w"), parsed)


async def fail(mill: Mill, document: str, code: str = "parse_failed", step: Step = Step.PARSE) -> None:
    """A dead letter at its present step."""
    if step is Step.CHUNK:
        await parse(mill, document)
    attempt = 1
    failure = c.FailStep(step=step, attempt=attempt, code=code, message="not a PDF")
    await say(mill, document, c.StartStep(step=step, attempt=attempt, worker="w"), failure)


async def finish(mill: Mill, task: str) -> None:
    tally = await mill.services.log.tally(task)  # type: ignore[arg-type]
    context = mill.services.context(task, "worker")
    await handle(mill.services.log, TASK, task, [c.FinishTask(tally=tally)], context)


async def state_of(mill: Mill, document: str) -> DocumentState:
    return (await load(mill.services.log, DOCUMENT, document)).state


async def task_of(mill: Mill, document: str) -> str:
    state = await state_of(mill, document)
    assert isinstance(state, Open)
    return state.record.about.task_id


async def post(mill: Mill, path: str, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await mill.client.post(path, json=body, headers=sent)


async def retry(mill: Mill, task: str, query: str = "", **headers: str) -> httpx.Response:
    return await post(mill, f"/api/v1/tasks/{task}/retry{query}", None, **headers)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_failed_documents_of_a_task_are_begun_again_under_a_new_task(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    task, (first, second, third) = await upload(mill, kb, 3)
    await fail(mill, first)
    await fail(mill, second, "no_text", Step.CHUNK)
    answer = await retry(mill, task)
    again = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/tasks/{again['task_id']}"
    assert again["task_id"] != task
    assert [line["document_id"] for line in again["documents"]] == [first, second]
    assert [line["filename"] for line in again["documents"]] == ["0.txt", "1.txt"]
    states = [await state_of(mill, document) for document in (first, second, third)]
    assert [awaited_step(state) for state in states] == [Step.PARSE, Step.CHUNK, Step.PARSE]
    assert [await task_of(mill, one) for one in (first, second, third)] == [again["task_id"], again["task_id"], task]
    assert await mill.services.log.tally(task) == Tally(open_documents=1, failed=2)  # type: ignore[arg-type]
    assert await mill.services.log.tally(again["task_id"]) == Tally(open_documents=2)


@pytest.mark.parametrize("query", ["", "?from=fetch", "?from=parse"])
async def test_what_could_not_be_fetched_is_fetched_again_and_what_is_here_is_not(
    tmp_path: Path, log: InterruptedLog, query: str
) -> None:
    services = replace(make_services(tmp_path, log=log), has_import_bucket=True)
    async with running_mill(services) as mill:
        kb = await mill.knowledge_base()
        answer = await post(mill, f"{KBS}/{kb}/documents/import", {"objects": ["a.txt", "b.txt"]})
        missing, broken = [line["document_id"] for line in answer.json()["documents"]]
        await fail(mill, missing, "object_missing", Step.FETCH)
        await say(mill, broken, c.StartStep(step=Step.FETCH, attempt=1, worker="w"), result_of(Step.FETCH))
        await fail(mill, broken)

        again = await retry(mill, answer.json()["task_id"], query)

        assert again.status_code == 202, again.text
        assert [awaited_step(await state_of(mill, one)) for one in (missing, broken)] == [Step.FETCH, Step.PARSE]


async def test_each_of_the_two_tasks_ends_once_and_by_itself(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    task, (document,) = await upload(mill, kb, 1)
    await fail(mill, document)
    await finish(mill, task)
    again = (await retry(mill, task)).json()["task_id"]
    attempt_two = c.StartStep(step=Step.PARSE, attempt=2, worker="w")
    await say(mill, document, attempt_two, c.CancelDocument())
    await finish(mill, again)
    outcomes = []
    for name in (task, again):
        state = (await load(mill.services.log, TASK, name)).state
        assert isinstance(state, FinishedTask)
        outcomes.append(state.outcome)
    assert outcomes == [TaskOutcome.FAILED, TaskOutcome.CANCELLED]
    assert [one.type for one in await mill.facts()].count("TaskFinished") == 2


async def test_a_repeated_retry_under_the_same_key_is_the_same_task(mill: Mill) -> None:
    task, (document, other) = await upload(mill, await mill.knowledge_base(), 2)
    await fail(mill, document)
    first = await retry(mill, task, Idempotency_Key="k")
    await fail(mill, other)
    second = await retry(mill, task, Idempotency_Key="k")
    assert second.status_code == 202
    assert second.json()["task_id"] == first.json()["task_id"]
    assert second.json()["documents"] == first.json()["documents"]
    assert refusal(await retry(mill, task, "?from=parse", Idempotency_Key="k")) == (422, "idempotency_key_reused")
    assert [type(one.event) for one in await mill.facts()].count(ReprocessingRequested) == 1


async def test_where_nothing_failed_nothing_is_begun(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    task, (document, _) = await upload(mill, kb, 2)
    before = len(await mill.facts())
    assert refusal(await retry(mill, task)) == (409, "nothing_to_retry")
    assert refusal(await retry(mill, f"{task[:-1]}{'0' if task[-1] != '0' else '1'}")) == (404, "unknown_task")
    assert refusal(await retry(mill, task, "?from=finish")) == (422, "validation_failed")
    assert refusal(await retry(mill, task, "?step=parse")) == (422, "validation_failed")
    assert refusal(await retry(mill, task, "?cancelled=1")) == (422, "validation_failed")
    assert len(await mill.facts()) == before
    await fail(mill, document)
    await mill.client.delete(f"{KBS}/{kb}")
    assert refusal(await retry(mill, task)) == (409, "knowledge_base_deleted")


async def test_cancelled_documents_are_taken_only_when_asked_for(mill: Mill) -> None:
    task, (failed, cancelled) = await upload(mill, await mill.knowledge_base(), 2)
    await fail(mill, failed)
    assert (await post(mill, f"/api/v1/tasks/{task}/cancel")).status_code == 202
    first = await retry(mill, task)
    assert [line["document_id"] for line in first.json()["documents"]] == [failed]
    second = await retry(mill, task, "?cancelled=true")
    assert [line["document_id"] for line in second.json()["documents"]] == [cancelled]


async def test_of_several_documents_each_begins_no_later_than_asked_and_no_later_than_it_can(mill: Mill) -> None:
    task, (early, late) = await upload(mill, await mill.knowledge_base(), 2)
    await fail(mill, early)
    await fail(mill, late, "no_text", Step.CHUNK)
    assert (await retry(mill, task, "?from=embed")).status_code == 202
    assert [awaited_step(await state_of(mill, one)) for one in (early, late)] == [Step.PARSE, Step.CHUNK]


async def test_of_several_retries_at_once_one_takes_the_documents(mill: Mill) -> None:
    task, documents = await upload(mill, await mill.knowledge_base(), 4)
    for document in documents:
        await fail(mill, document)
    answers = await asyncio.gather(*(retry(mill, task) for _ in range(5)))
    taken = [answer.json() for answer in answers if answer.status_code == 202]
    assert len(taken) == 1
    assert {refusal(answer) for answer in answers if answer.status_code != 202} == {(409, "nothing_to_retry")}
    assert [type(one.event) for one in await mill.facts()].count(ReprocessingRequested) == 4


async def test_a_document_that_others_take_up_in_between_is_left_to_them(mill: Mill, log: InterruptedLog) -> None:
    kb = await mill.knowledge_base()
    task, (theirs, ours) = await upload(mill, kb, 2)
    await fail(mill, theirs)
    await fail(mill, ours)
    other: list[httpx.Response] = []

    async def meanwhile() -> None:
        other.append(await post(mill, f"{KBS}/{kb}/documents/{theirs}/reprocess"))

    log.meanwhile = meanwhile
    answer = await retry(mill, task)
    assert other[0].status_code == 202
    assert [line["document_id"] for line in answer.json()["documents"]] == [ours]
    assert await task_of(mill, theirs) == other[0].json()["task_id"]
    state = (await load(log, TASK, answer.json()["task_id"])).state
    assert isinstance(state, OpenTask)
    assert state.submitted.documents == 1


async def test_a_retry_is_cancelled_without_touching_others_and_leaves_with_its_documents(mill: Mill) -> None:
    task, (failed, open_still) = await upload(mill, await mill.knowledge_base(), 2)
    await fail(mill, failed)
    again = (await retry(mill, task)).json()["task_id"]
    of_the_first = (await post(mill, f"/api/v1/tasks/{task}/cancel")).json()
    assert of_the_first["documents"][1]["status"] == "cancelled"
    assert await task_of(mill, failed) == again, "what belongs to the retry goes on"
    of_the_retry = (await post(mill, f"/api/v1/tasks/{again}/cancel")).json()
    assert [(line["document_id"], line["status"]) for line in of_the_retry["documents"]] == [(failed, "cancelled")]
    assert await mill.services.log.tally(task) == Tally(failed=1, cancelled=1)  # type: ignore[arg-type]
    assert await mill.services.log.tally(again) == Tally(cancelled=1)
    assert open_still != failed


async def test_one_document_is_processed_again_from_the_step_that_is_asked_for(mill: Mill) -> None:
    kb, other = await mill.knowledge_base("one"), await mill.knowledge_base("other")
    _, (document,) = await upload(mill, kb, 1)
    url = f"{KBS}/{kb}/documents/{document}/reprocess"
    assert refusal(await post(mill, url)) == (409, "document_in_progress")
    await fail(mill, document, "no_text", Step.CHUNK)
    assert refusal(await post(mill, url, {"from_step": "index"})) == (409, "step_not_reached")
    assert refusal(await post(mill, url, {"from_step": "erase"})) == (422, "validation_failed")
    assert refusal(await post(mill, url, {"step": "parse"})) == (422, "validation_failed")
    foreign = await post(mill, f"{KBS}/{other}/documents/{document}/reprocess")
    assert refusal(foreign) == (404, "unknown_document")
    answer = await post(mill, url, {"from_step": "parse"}, Idempotency_Key="k")
    assert answer.status_code == 202
    assert awaited_step(await state_of(mill, document)) is Step.PARSE
    repeated = await post(mill, url, {"from_step": "parse"}, Idempotency_Key="k")
    assert repeated.json()["task_id"] == answer.json()["task_id"]
    assert refusal(await post(mill, url)) == (409, "document_in_progress")


async def test_a_dry_run_says_what_would_be_begun_again_and_begins_nothing(mill: Mill) -> None:
    kb, other = await mill.knowledge_base("one"), await mill.knowledge_base("other")
    _, (first, second, third) = await upload(mill, kb, 3)
    _, (fourth,) = await upload(mill, other, 1)
    await fail(mill, first)
    await fail(mill, second, "no_text", Step.CHUNK)
    await fail(mill, fourth)
    before = len(await mill.facts())
    answer = await post(mill, f"{DEAD}/retry", {"dry_run": True})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "dry_run": True,
            "documents": 3,
            "by_code": {"parse_failed": 2, "no_text": 1},
            "by_step": {"parse": 2, "chunk": 1},
            "by_knowledge_base": {kb: 2, other: 1},
            "has_more": False,
            "tasks": [],
        },
    )
    for body, expected in (
        ({"code": "no_text"}, 1),
        ({"step": "parse"}, 2),
        ({"knowledge_base": other}, 1),
        ({"code": "no_text", "knowledge_base": other}, 0),
        ({"since": "2020-01-01T00:00:00Z"}, 3),
        ({"since": "2999-01-01T00:00:00+08:00"}, 0),
    ):
        found = await post(mill, f"{DEAD}/retry", {**body, "dry_run": True})
        assert (found.status_code, found.json()["documents"]) == (200, expected), body
    assert len(await mill.facts()) == before
    assert third


async def test_dead_letters_are_begun_again_by_a_query_with_a_task_for_each_knowledge_base(mill: Mill) -> None:
    kb, other = await mill.knowledge_base("one"), await mill.knowledge_base("other")
    _, (first, second) = await upload(mill, kb, 2)
    _, (third,) = await upload(mill, other, 1)
    await fail(mill, first)
    await fail(mill, second, "no_text", Step.CHUNK)
    await fail(mill, third)
    answer = await post(mill, f"{DEAD}/retry", {"code": "parse_failed"})
    body = answer.json()
    assert (answer.status_code, body["documents"], body["by_code"]) == (202, 2, {"parse_failed": 2})
    named = {line["document_id"]: task["task_id"] for task in body["tasks"] for line in task["documents"]}
    assert named == {one: await task_of(mill, one) for one in (first, third)}
    assert len(set(named.values())) == 2
    repeated = await post(mill, f"{DEAD}/retry", {"code": "parse_failed"})
    assert (repeated.status_code, repeated.json()["documents"], repeated.json()["tasks"]) == (202, 0, [])


async def test_what_one_task_cannot_name_is_left_for_the_next_request(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.retry.DOCUMENTS_NAMED_MAX", 2)
    task, documents = await upload(mill, await mill.knowledge_base(), 3)
    for document in documents:
        await fail(mill, document)
    first, second = (await retry(mill, task)).json(), (await retry(mill, task)).json()
    assert [line["document_id"] for line in first["documents"]] == documents[:2]
    assert "1 more" in first["message"]
    assert [line["document_id"] for line in second["documents"]] == documents[2:]
    assert "more" not in second["message"]


async def test_a_retry_of_many_dead_letters_is_several_tasks_and_says_when_more_are_left(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.dead_letters.DOCUMENTS_NAMED_MAX", 2)
    monkeypatch.setattr("ingest.dead_letters.DOCUMENTS_MAX", 3)
    _, documents = await upload(mill, await mill.knowledge_base(), 4)
    for document in documents:
        await fail(mill, document)
    first = (await post(mill, f"{DEAD}/retry", {})).json()
    assert ([len(task["documents"]) for task in first["tasks"]], first["has_more"]) == ([2, 1], True)
    second = (await post(mill, f"{DEAD}/retry", {})).json()
    assert ([len(task["documents"]) for task in second["tasks"]], second["has_more"]) == ([1], False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"code": "Ü"}, "/code"),
        ({"step": "walk"}, "/step"),
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-01-01T00:00:00"}, "/since"),
        ({"from_step": "erase"}, "/from_step"),
        ({"dry_run": "yes"}, "/dry_run"),
        ({"all": True}, "/all"),
    ],
)
async def test_a_wrong_query_is_refused_at_its_place(mill: Mill, body: dict[str, Any], pointer: str) -> None:
    answer = await post(mill, f"{DEAD}/retry", body)
    assert refusal(answer) == (422, "validation_failed")
    assert [flaw["pointer"] for flaw in answer.json()["errors"]] == [pointer]


async def test_a_dead_letter_is_deleted_with_its_document_and_nothing_else_is(mill: Mill) -> None:
    _, (failed, healthy) = await upload(mill, await mill.knowledge_base(), 2)
    await fail(mill, failed)
    for _ in range(2):
        answer = await mill.client.delete(f"{DEAD}/{failed}")
        assert (answer.status_code, answer.json()) == (202, {"document_id": failed, "status": "deleted"})
    assert refusal(await mill.client.delete(f"{DEAD}/{healthy}")) == (409, "not_a_dead_letter")
    assert refusal(await mill.client.delete(f"{DEAD}/{healthy[:-1]}x")) == (404, "not_found")
    assert [one.type for one in await mill.facts()].count("DocumentRemoved") == 1
