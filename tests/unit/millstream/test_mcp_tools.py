"""Tools by themselves, on routes in this process; the protocol around them is tested over HTTP and end to end."""

import asyncio
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.status import TaskDocuments, TaskPhase, TaskStatus
from events.steps import Lane
from events.task import TaskSource
from ingest.answers import exception_handlers
from ingest.body import read_json_bytes
from knowledge.language_model import Finished
from knowledge.routes_answers import answer_routes
from knowledge.search import SearchScope
from millstream.client_async import inner_http
from millstream.client_http import Refused
from millstream.mcp import arguments
from millstream.mcp.calls import Calls
from millstream.mcp.tool import Tool, schema_of
from millstream.mcp.tools_ingesting import INGESTING
from millstream.mcp.tools_reading import READING
from projections.streamed import StreamedEvents
from tests.unit.knowledge.test_answering import MILL, Model, answerer_over, saying

KB = "kb_" + "0" * 34
TOOLS = {one.name: one for one in (*READING, *INGESTING)}


async def run(app: Starlette, tool: str, asked: arguments.Arguments, told: Callable[..., Any] = print) -> Any:
    async def on_progress(share: float, words: str) -> None:
        told((share, words))

    async with inner_http(app, "http://127.0.0.1", {}, ("127.0.0.1", 1)) as http:
        return await TOOLS[tool].run(Calls(http), asked, on_progress)


async def answering(model: Model | None) -> Starlette:
    async def resolve_scope(_request: Request, kb_id: str, /) -> SearchScope:
        return SearchScope("kb_one" if kb_id == KB else kb_id, 1, "hash", 0.3)

    routes = answer_routes(await answerer_over({"manual": MILL}, model), resolve_scope, read_json_bytes, StreamedEvents)
    return Starlette(routes=routes, exception_handlers=exception_handlers())


async def test_a_question_is_answered_with_citations() -> None:
    app = await answering(saying("In spring [1].", Finished()))
    asked = arguments.Ask(question="When is the millstone dressed?", knowledge_bases=[KB])
    answer = await run(app, "ask", asked)
    assert (answer.answer, answer.found) == ("In spring [1].", True)
    assert [(one.number, one.document_id, one.page) for one in answer.citations] == [(1, "manual", 4)]


async def test_without_a_language_model_the_service_says_so() -> None:
    with pytest.raises(Refused) as refused:
        await run(await answering(None), "ask", arguments.Ask(question="When?", knowledge_bases=[KB]))
    assert (refused.value.status, refused.value.problem.code) == (409, "no_language_model")


def task(version: int, progress: float, phase: TaskPhase = TaskPhase.PROCESSING, *, total: int = 2) -> TaskStatus:
    return msgspec.convert(
        {
            "task_id": "task_" + "0" * 34,
            "knowledge_base_id": KB,
            "status": phase.value,
            "progress": progress,
            "documents": dict.fromkeys(TaskDocuments.__struct_fields__, 0) | {"total": total, "processing": total},
            "source": next(iter(TaskSource)).value,
            "lane": next(iter(Lane)).value,
            **dict.fromkeys(("submitted_at", "updated_at"), "2026-11-29T00:00:00Z"),
            **dict.fromkeys(("started_at", "finished_at", "cancelled_at")),
            "version": version,
            "links": {},
        },
        TaskStatus,
    )


class Tasks:
    """A service in which a task goes through states; a long poll waits for nothing, as in one that is stopping."""

    def __init__(self, *states: TaskStatus) -> None:
        self.states = list(states)
        self.polls = 0
        paths = {"/api/v1/tasks/{task_id}": self.get, "/api/v1/tasks/{task_id}/documents": self.documents}
        self.app = Starlette(routes=[Route(path, answer) for path, answer in paths.items()])

    async def get(self, request: Request) -> Response:
        if "if-none-match" in request.headers:
            self.polls += 1
            if len(self.states) == 1:
                return Response(status_code=304)
            del self.states[0]
        return Response(msgspec.json.encode(self.states[0]))

    async def documents(self, _request: Request) -> Response:
        return Response(b'{"data": [], "total": 0, "next_cursor": null}')


async def test_each_change_of_a_task_is_told_until_it_ends() -> None:
    service = Tasks(task(1, 0.0), task(2, 0.5), task(3, 1.0, TaskPhase.COMPLETED))
    told: list[tuple[float, str]] = []
    ended = await run(service.app, "watch_task", arguments.WatchTask(task_id="task_1"), told.append)
    assert (ended.status, ended.has_ended) == ("completed", True)
    assert [share for share, _ in told] == [0.0, 0.5, 1.0]
    assert told[0][1] == "processing: 0 of 2 documents have ended"


async def test_a_task_of_one_document_is_told_of_as_one() -> None:
    told: list[tuple[float, str]] = []
    one = Tasks(task(1, 0.0, total=1), task(2, 1.0, TaskPhase.COMPLETED, total=1))
    await run(one.app, "watch_task", arguments.WatchTask(task_id="task_1"), told.append)
    assert told[0][1] == "processing: 0 of 1 document has ended"


async def test_a_service_that_is_stopping_is_not_asked_again_and_again() -> None:
    service = Tasks(task(1, 0.0), task(2, 0.5))
    waiting = run(service.app, "watch_task", arguments.WatchTask(task_id="task_1", wait_s=300))
    left = await asyncio.wait_for(waiting, 60)
    assert (left.has_ended, left.progress, service.polls) == (False, 0.5, 2)


async def test_who_does_not_wait_is_told_at_once() -> None:
    service = Tasks(task(1, 0.25))
    now = await run(service.app, "watch_task", arguments.WatchTask(task_id="task_1", wait_s=0))
    assert (now.progress, service.polls) == (0.25, 0)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_tool_tells_its_types_in_schemas_that_hold(tool: Tool) -> None:
    for struct in (tool.arguments, tool.result):
        schema = schema_of(struct)
        jsonschema_rs.Draft202012Validator(schema)
        assert schema["type"] == "object"
    takes = jsonschema_rs.Draft202012Validator(schema_of(tool.arguments))
    assert not takes.is_valid({"unheard_of": 1})


def test_what_a_schema_lets_through_a_tool_takes_and_the_other_way_round() -> None:
    cases: list[tuple[type[arguments.Arguments], dict[str, Any], bool]] = [
        (arguments.Search, {"query": "x", "filters": {"page": 1}, "rerank": None}, True),
        (arguments.Search, {"query": ""}, False),
        (arguments.Search, {"query": "x", "knowledge_bases": ["a"] * 21}, False),
        (arguments.Search, {"query": "x", "neighbours": 6}, False),
        (arguments.ReadDocument, {"knowledge_base": "a", "document_id": "../x"}, False),
        (arguments.ReadDocument, {"knowledge_base": "a", "document_id": "doc_1", "characters": 50_001}, False),
        (arguments.IngestText, {"knowledge_base": "a", "text": "t", "filename": "f", "on_duplicate": "replace"}, False),
        (arguments.IngestText, {"knowledge_base": "a", "text": "t", "filename": "f", "idempotency_key": "ü"}, False),
        (arguments.IngestUrl, {"knowledge_base": "a", "urls": []}, False),
        (arguments.WatchTask, {"task_id": "task_1", "wait_s": 301}, False),
    ]
    for struct, given, is_taken in cases:
        assert jsonschema_rs.Draft202012Validator(schema_of(struct)).is_valid(given) is is_taken, given
        try:
            msgspec.convert(given, struct)
        except msgspec.ValidationError:
            assert not is_taken, given
        else:
            assert is_taken, given
