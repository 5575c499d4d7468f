"""Real clients follow a task across a restart of the API and resume by themselves, without a gap or a repetition."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.ids import DocumentId, TaskId
from events.redis_clients import Clients
from tests.read_world import World
from tests.servers.ports import reserved_port
from tests.servers.stream_clients import browser, installed_client, node_client, page_routes
from tests.waiting import wait_until

pytest_plugins = ("tests.servers.redis",)


Client = Callable[[str, str], AbstractContextManager[None]]
"""Follows the stream at one address and reports to the other, while inside."""


class Reports:
    """What a client said that it was told, in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.events: list[dict[str, Any]] = []

    async def take(self, request: Request) -> Response:
        told = msgspec.json.decode(await request.body())
        self.events.append({**told, "data": msgspec.json.decode(told["data"])})
        return Response()

    @property
    def names(self) -> list[str]:
        return [event["name"] for event in self.events]


@asynccontextmanager
async def reporting() -> AsyncIterator[Reports]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        reports = Reports(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        app = Starlette(routes=[Route("/", reports.take, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await wait_until(lambda: server.started, "the server listens")
        try:
            yield reports
        finally:
            server.should_exit = True
            await running


async def rows_followed_across_a_restart(world: World, client: Client) -> list[str]:
    """Of each frame that the client was told, once they turn out to be those that it should have been."""
    task, documents = await world.workshop.submit(await world.workshop.create("手册"), 3)
    await world.project()
    with reserved_port() as reserved:
        port = int(reserved.getsockname()[1])
        reports = await reports_across_a_restart(world, client, task, documents, port)
    assert reports.names[:4] == ["status", "document", "document", "document"]
    told = [event["data"].get("document_id", task) for event in reports.events]
    assert told[4:8] == [documents[0], task, documents[1], task]
    assert set(told[8:-1]) == {documents[2], task}
    states = [(row, event["data"]["version"]) for row, event in zip(told[:-1], reports.events, strict=False)]
    assert len(states) == len(set(states)), "each state once"
    assert reports.events[-2]["data"]["status"] == "completed"
    return told


async def reports_across_a_restart(
    world: World, client: Client, task: TaskId, documents: Sequence[DocumentId], port: int
) -> Reports:
    """What the client was told while the API at this port went away and came back."""
    path = f"http://127.0.0.1:{port}/api/v1/tasks/{task}/stream"
    async with reporting() as reports:
        async with world.serving(port=port, extra_routes=page_routes()):
            started = client(path, reports.url)
            await asyncio.to_thread(started.__enter__)
            try:
                await wait_until(lambda: len(reports.events) == 4, "the client has the beginning", 60)
                await world.workshop.complete(documents[0])
                await world.project()
                await wait_until(lambda: len(reports.events) == 6, "and the first change", 60)
            except BaseException:
                started.__exit__(None, None, None)
                raise
        try:
            # The API is away; what changes meanwhile is what the client will have missed.
            await world.workshop.complete(documents[1])
            await world.project()
            async with world.serving(port=port, extra_routes=page_routes()) as api:
                await wait_until(lambda: len(reports.events) == 8, "the client came back and has what it missed", 60)
                await world.workshop.complete(documents[2])
                await world.workshop.finish(task)
                await world.project()
                await wait_until(lambda: "end" in reports.names, "the end")
                await wait_until(lambda: api.tailer.count == 0, "the client has left")
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
    return reports


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


async def test_the_eventsource_package_resumes_across_a_restart(world: World, request: pytest.FixtureRequest) -> None:
    cache = request.config.cache
    assert cache is not None
    folder = await asyncio.to_thread(installed_client, cache.mkdir("clients"))
    told = await rows_followed_across_a_restart(world, lambda stream, report: node_client(folder, stream, report))
    assert len(set(told)) == 4, "the task and its three documents"


async def test_a_browser_resumes_across_a_restart(world: World) -> None:
    def page(stream: str, report: str) -> AbstractContextManager[None]:
        server = stream.partition("/api/")[0]
        return browser(f"{server}/follow?stream={quote(stream)}&report={quote(report)}")

    told = await rows_followed_across_a_restart(world, page)
    assert len(set(told)) == 4, "the task and its three documents"
