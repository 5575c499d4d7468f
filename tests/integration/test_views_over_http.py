"""Filtered lists, the change feed, the flow of the mill and the age of answers, over HTTP and on a real Redis."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.commands import RemoveDocument
from domain.errors import Refused
from events.document import Metadata
from events.errors import InvalidId
from events.ids import DocumentId
from events.keys import Keys
from events.redis_clients import Clients
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from projections.changes import ChangeTailer
from projections.cursors import Cursors
from projections.errors import InvalidCursor, InvalidQuery
from projections.projector import Projector
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from projections.retention import Retention
from projections.routes import projection_routes
from projections.routes_events import event_feed_routes
from projections.routes_system import system_routes
from tests.event_samples import new_knowledge_base
from tests.projecting import project
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)

PARTITIONS = 2
STATUS = {Refused: 404, InvalidId: 404, InvalidQuery: 422, InvalidCursor: 400}


async def _answer(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=STATUS[type(error)])


class World:
    def __init__(self, clients: Clients) -> None:
        keys = Keys(PARTITIONS)
        self.log = RedisLog(clients.commands, clients.blocking, keys)
        self.views = RedisViews(clients.commands, keys)
        self.workshop = Workshop(self.log)
        self.now_us = self.workshop.now_us()
        cursors = Cursors(b"the secret of a test, long enough")
        tailer = ChangeTailer(RedisFeed(clients.commands, clients.blocking, keys), self.views)
        inbox = RedisInbox(clients.commands, clients.blocking, keys)
        routes = [
            *projection_routes(self.log, self.views, tailer, cursors),
            *event_feed_routes(self.log, self.views, cursors),
            *system_routes(self.log, self.views, inbox, clock_us=lambda: self.now_us),
        ]
        app = Starlette(routes=routes, exception_handlers=dict.fromkeys(STATUS, _answer))
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    async def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        response = await self.http.get(path, params=parameters)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def project(self) -> None:
        await project(self.log, self.views)


@pytest.fixture
async def world(redis_clients: Clients) -> AsyncIterator[World]:
    world = World(redis_clients)
    yield world
    await world.http.aclose()


async def test_documents_are_found_by_status_name_time_and_metadata(world: World) -> None:
    kb = await world.workshop.create(partition=1)
    found: dict[DocumentId, str] = {}
    uploads: list[tuple[str, Metadata]] = [
        ("年报 2024.pdf", {"year": 2024, "lang": "zh"}),
        ("Report.TXT", {"year": 2024, "lang": "en", "final": True}),
        ("report.md", {"year": 2025.5}),
    ]
    for filename, metadata in uploads:
        _, (document,) = await world.workshop.submit(kb, filename=filename, metadata=metadata)
        found[document] = filename
    await world.project()
    path = f"/knowledge-bases/{kb}/documents"

    async def names(**parameters: str | int) -> list[str]:
        return [found[one["document_id"]] for one in (await world.get(path, **parameters))["data"]]

    assert await names() == ["report.md", "Report.TXT", "年报 2024.pdf"]
    assert await names(q="REPORT") == ["report.md", "Report.TXT"]
    assert await names(q="年报") == ["年报 2024.pdf"]
    assert await names(**{"metadata.year": "2024"}) == ["Report.TXT", "年报 2024.pdf"]
    assert await names(**{"metadata.year": "2024", "metadata.final": "true"}) == ["Report.TXT"]
    assert await names(**{"metadata.year": "2025.5", "q": "r"}) == ["report.md"]
    assert await names(**{"metadata.lang": "zh", "status": "completed"}) == []
    times = [one["accepted_at"] for one in (await world.get(path))["data"]]
    assert await names(since=times[1]) == ["report.md", "Report.TXT"]
    assert await names(until=times[1]) == ["年报 2024.pdf"]
    assert (await world.get(path, **{"metadata.year": "2024"}))["total"] == 2
    assert (await world.get(path, q="report"))["total"] is None, "only a search of all could tell"
    page = await world.get(path, limit=1, **{"metadata.year": "2024"})
    rest = await world.get(path, limit=1, cursor=page["next_cursor"], **{"metadata.year": "2024"})
    assert [found[one["document_id"]] for one in rest["data"]] == ["年报 2024.pdf"]
    other = await world.http.get(path, params={"cursor": page["next_cursor"], "metadata.year": "2025"})
    assert other.status_code == 400, "a cursor belongs to its filters"
    document = next(iter(found))
    await world.workshop.work(document, RemoveDocument())
    await world.project()
    assert await names(**{"metadata.lang": "zh"}) == []


@pytest.mark.parametrize("query", ["metadata.=1", "metadata.a=1&metadata.a=2", "q=", "since=yesterday", "colour=red"])
async def test_a_filter_that_cannot_be_meant_is_refused(world: World, query: str) -> None:
    kb = await world.workshop.create()
    assert (await world.http.get(f"/knowledge-bases/{kb}/documents?{query}")).status_code == 422


async def test_the_change_feed_tells_every_fact_and_goes_on_from_its_cursor(world: World) -> None:
    bases = [await world.workshop.create(f"kb {one}", partition=one) for one in range(PARTITIONS)]
    first = await world.get("/events", limit=2)
    assert [(one["type"], one["stream_id"]) for one in first["data"]] == [
        ("KnowledgeBaseCreated", one) for one in bases
    ]
    assert not first["has_more"]
    task, documents = await world.workshop.through(bases[1], 2)
    page = await world.get("/events", after=first["next_cursor"], limit=200)
    streams = {task, *documents}
    assert {one["stream_id"] for one in page["data"]} == streams
    versions = [(one["stream_id"], one["version"]) for one in page["data"]]
    assert all(versions.index((one, 1)) < versions.index((one, 2)) for one in streams)
    types = await world.get("/events", types="TaskSubmitted,TaskFinished", knowledge_base=bases[1])
    assert [one["type"] for one in types["data"]] == ["TaskSubmitted", "TaskFinished"]
    assert types["data"][0]["data"]["documents"] == 2
    assert (await world.get("/events", after="end"))["data"] == []
    assert (await world.http.get("/events", params={"types": "Nonsense"})).status_code == 422
    assert (await world.http.get("/events", params={"after": "x"})).status_code == 400
    assert (await world.http.get("/events", params={"knowledge_base": new_knowledge_base()})).status_code == 404


async def test_the_flow_of_the_mill_is_told_with_backlog_and_lag(world: World) -> None:
    kb = await world.workshop.create()
    await world.workshop.through(kb)
    await world.workshop.submit(kb, 3)
    behind = await world.get("/system")
    assert behind["lag_events"] > 0
    await world.project()
    flow = await world.get("/system", minutes=1)
    steps = {one["step"]: one for one in flow["steps"]}
    assert flow["lag_events"] == 0
    assert flow["events_per_s"] > 0
    assert steps["parse"]["succeeded"] == 1
    assert steps["parse"]["waiting"] >= 3
    assert steps["embed"]["duration_p95_ms"] >= 1
    assert (await world.http.get("/system", params={"minutes": 60})).status_code == 422


async def test_answers_tell_how_far_the_views_are_behind(world: World) -> None:
    kb = await world.workshop.create(partition=0)
    task, (document,) = await world.workshop.submit(kb)
    await world.project()
    for path in (f"/tasks/{task}", f"/knowledge-bases/{kb}/documents/{document}", f"/tasks?knowledge_base={kb}"):
        headers = (await world.http.get(path)).headers
        assert (headers["millstream-as-of"], headers["millstream-lag-events"]) == ("3", "0")
    known = (await world.http.get(f"/tasks/{task}")).headers["etag"]
    unchanged = await world.http.get(f"/tasks/{task}", headers={"If-None-Match": known})
    assert (unchanged.status_code, unchanged.headers["millstream-lag-events"]) == (304, "0")
    assert "millstream-as-of" not in (await world.http.get("/tasks")).headers, "all partitions were asked"


async def test_a_projector_that_stands_still_is_told_with_the_status(world: World) -> None:
    kb = await world.workshop.create(partition=0)
    task, documents = await world.workshop.submit(kb, 2)
    await world.project()
    for document in documents:
        await world.workshop.complete(document)
    response = await world.http.get(f"/tasks/{task}")
    assert response.json()["status"] == "queued", "as the views have it"
    assert response.headers["millstream-as-of"] == "4"
    assert response.headers["millstream-lag-events"] == str((await world.log.head(0)).number - 4)


async def test_a_retired_task_is_answered_from_its_history(world: World) -> None:
    kb = await world.workshop.create(partition=0)
    task, _ = await world.workshop.through(kb, 2)
    await world.project()
    before = await world.get(f"/tasks/{task}")
    world.now_us = world.workshop.now_us()
    projector = Projector(
        world.log,
        world.views,
        partition=0,
        holder="test",
        retention=Retention(keep_us=0, clock_us=lambda: world.now_us),
    )
    await projector.advance()
    assert (await world.get("/tasks"))["total"] == 0
    assert await world.get(f"/tasks/{task}") == before
    assert (await world.get(f"/tasks/{task}/documents"))["total"] == 2
    assert (await world.get(f"/tasks/{task}/events", limit=200))["total"] == before["version"]
