"""Every route with every kind of key: what a key may not do is refused, and of what it may not see nothing is told.

The routes come from the router itself, so that a new one is in the matrix without anybody thinking of it.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from starlette.routing import Route

from domain.access import Scope, unknown_instead, with_included
from events.keys import Keys
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from millstream.admission.route_access import ROUTES, Access
from projections.redis_views import RedisViews
from tests.integration.keyed_app import KeyedApp, bearer, keyed_apps
from tests.projecting import project
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_until
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTITIONS: Final = 2
CANARY: Final = "canary-7f31"
REFUSED: Final = {401, 403}
STORED: Final = {"get_document_content", "get_document_text", "list_chunks", "get_chunk"}
"""What these read is stored nowhere in this world: that a key may see it shows in how they say so."""
BODIES: Final[dict[str, Any]] = {
    "search": {"query": "stones"},
    "preview_chunks": {"text": "The stones."},
    "answer_question": {"question": "stones?"},
    "retry_dead_letters": {"dry_run": True},
}


class Owned(NamedTuple):
    """One of each, all of one knowledge base."""

    kb_id: str
    task_id: str
    document_id: str
    failed: str


class World(NamedTuple):
    app: KeyedApp
    keys: dict[Scope, str]
    bound: str
    own: Owned
    foreign: Owned
    workshop: Workshop
    views: RedisViews

    def routes(self) -> list[tuple[Route, Access]]:
        found = [route for route in self.app.app.routes if isinstance(route, Route) and route.name in ROUTES]
        # Another protocol, whose tools make these very calls: tests/integration/test_mcp_over_http.py.
        found = [route for route in found if route.name != "mcp"]
        assert len(found) >= 30
        return [(route, ROUTES[route.name]) for route in found if ROUTES[route.name].scope is not None]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for the module: what changes it comes last."""
    async with make_clients(redis_server.url) as clients, AsyncExitStack() as stack:
        await clients.commands.flushall()
        (app,) = await stack.enter_async_context(keyed_apps(redis_server.url, tmp_path_factory.mktemp("keyed")))
        keys = Keys(PARTITIONS)
        workshop = Workshop(RedisLog(clients.commands, clients.blocking, keys))
        views = RedisViews(clients.commands, keys)
        own, foreign = await owned(workshop, "own"), await owned(workshop, CANARY)
        await project(workshop.log, views)
        made = {Scope.ADMIN: await app.make_key()}
        for scope in (Scope.READ, Scope.WRITE):
            made[scope] = await app.make_key(made[Scope.ADMIN], scopes=[scope.value])
        bound = await app.make_key(made[Scope.ADMIN], scopes=["write"], knowledge_bases=[own.kb_id])
        yield World(app, made, bound, own, foreign, workshop, views)


async def owned(workshop: Workshop, name: str) -> Owned:
    base = await workshop.create(name)
    task, (document,) = await workshop.submit(base, filename=f"{name}.txt", metadata={"name": name})
    _, (failed,) = await workshop.submit(base, filename=f"{name}-failed.txt")
    await workshop.fail(failed)
    return Owned(base, task, document, failed)


def nobodys(owner: Owned) -> Owned:
    return Owned(*map(unknown_instead, owner))


def path_of(route: Route, owner: Owned) -> str:
    given = owner._asdict() | ({"document_id": owner.failed} if route.name == "delete_dead_letter" else {})
    params = {name: given.get(name, "0123456789abcdef") for name in route.param_convertors}
    return str(route.url_path_for(route.name, **params))


def url_of(world: World, route: Route, owner: Owned) -> str:
    """Not everything lies below /api/v1."""
    return f"http://127.0.0.1:{world.app.port}{path_of(route, owner)}"


class Answered(NamedTuple):
    status: int
    code: str | None
    text: str


async def ask(world: World, route: Route, owner: Owned, key: str | None, query: str = "") -> Answered:
    """An event stream is not read: its status says whether it was opened."""
    method = min((route.methods or set()) - {"HEAD"}, default="HEAD")
    options: dict[str, Any] = {}
    if method in {"POST", "PATCH"}:
        options["json"] = body_of(route.name, owner)
    async with world.app.client.stream(
        method, url_of(world, route, owner) + query, headers=bearer(key), **options
    ) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return Answered(answer.status_code, None, "")
        return answered(answer.status_code, await answer.aread(), owner)


def answered(status: int, content: bytes, owner: Owned) -> Answered:
    """Without the request's id, and the ids that were asked for, which two requests may differ by."""
    text = content.decode()
    if not text.startswith("{"):
        return Answered(status, None, text)
    found = msgspec.json.decode(content)
    found.pop("request_id", None)
    shown = msgspec.json.encode(found).decode()
    for one in owner:
        shown = shown.replace(one, "ID")
    return Answered(status, found.get("code"), shown)


def told(route: Route, code: str) -> str | None:
    """An answer to HEAD has no body."""
    return None if route.methods == {"HEAD"} else code


def body_of(name: str, owner: Owned) -> Any:
    if name == "search_many":
        return {"query": "stones", "knowledge_base_ids": [owner.kb_id]}
    if name == "answer_many":
        return {"question": "stones?", "knowledge_base_ids": [owner.kb_id]}
    return BODIES.get(name, {})


async def test_without_a_key_nothing_answers(world: World) -> None:
    for route, _ in world.routes():
        found = await ask(world, route, world.own, None)
        assert (found.status, found.code) == (401, told(route, "unauthenticated")), route.name


async def test_each_scope_opens_what_it_includes_and_nothing_else(world: World) -> None:
    for route, needed in world.routes():
        for scope, key in world.keys.items():
            found = await ask(world, route, nobodys(world.own), key)
            if needed.scope in with_included([scope]):
                assert found.status not in REFUSED, (route.name, scope, found)
            else:
                assert (found.status, found.code) == (403, told(route, "insufficient_scope")), (route.name, scope)


async def test_what_is_foreign_is_answered_like_what_does_not_exist(world: World) -> None:
    for route, needed in world.routes():
        foreign = await ask(world, route, world.foreign, world.bound)
        unknown = await ask(world, route, nobodys(world.foreign), world.bound)
        assert foreign == unknown, route.name
        if needed.is_whole or needed.scope is Scope.ADMIN:
            assert foreign.status == 403, route.name
        elif route.param_convertors:
            assert foreign.status in {204, 404, 412, 415, 422}, (route.name, foreign)


async def test_a_foreign_knowledge_base_in_query_or_body_is_unknown(world: World) -> None:
    for name in ("list_tasks", "list_dead_letters", "list_events"):
        route = route_of(world, name)
        asked = [f"?knowledge_base={one.kb_id}" for one in (world.foreign, nobodys(world.foreign))]
        foreign, unknown = [await ask(world, route, world.own, world.bound, query) for query in asked]
        assert foreign == unknown
        assert foreign.status == 404
    for owner in (world.foreign, nobodys(world.foreign)):
        body = {"dry_run": True, "knowledge_base": owner.kb_id}
        retried = await world.app.call("POST", "/dead-letters/retry", world.bound, json=body)
        assert (retried.status_code, retried.json()["code"]) == (404, "unknown_knowledge_base")


async def test_what_is_its_own_a_bound_key_reads_and_a_canary_elsewhere_never_shows(world: World) -> None:
    for route, needed in world.routes():
        if needed.scope is Scope.READ and not needed.is_whole:
            found = await ask(world, route, world.own, world.bound)
            is_question = route.name in {"answer_question", "answer_many"}
            expected = {409} if is_question else {409, 500} if route.name in STORED else {200}
            assert found.status in expected, (route.name, found)
            assert not shows(found.text, world.foreign), route.name
    whole = await world.app.call("GET", "/tasks", world.keys[Scope.READ])
    assert shows(whole.text, world.foreign), "the canary is there for others"


async def test_lists_of_a_bound_key_hold_its_own_and_count_them(world: World) -> None:
    totals = {}
    for path in ("/tasks", "/knowledge-bases", "/dead-letters"):
        totals[path] = (await world.app.call("GET", path, world.bound)).json()["total"]
    facts = (await world.app.call("GET", "/events?limit=200", world.bound)).json()
    retried = await world.app.call("POST", "/dead-letters/retry", world.bound, json={"dry_run": True})

    assert totals == {"/tasks": 2, "/knowledge-bases": 1, "/dead-letters": 1}
    assert len(facts["data"]) == 7
    assert retried.json()["by_knowledge_base"] == {world.own.kb_id: 1}


async def test_pages_of_a_bound_key_follow_one_another_and_a_cursor_is_good_for_that_key_alone(world: World) -> None:
    first = (await world.app.call("GET", "/tasks?limit=1", world.bound)).json()
    cursor = first["next_cursor"]
    second = (await world.app.call("GET", f"/tasks?limit=1&cursor={cursor}", world.bound)).json()
    other = await world.app.call("GET", f"/tasks?limit=1&cursor={cursor}", world.keys[Scope.READ])

    assert {one["data"][0]["knowledge_base_id"] for one in (first, second)} == {world.own.kb_id}
    assert first["data"] != second["data"]
    assert second["next_cursor"] is None
    assert (other.status_code, other.json()["code"]) == (400, "bad_cursor")


async def test_a_bound_key_uploads_by_pieces_into_its_own_and_no_other_key_sees_that(world: World) -> None:
    statuses = {}
    for owner in (world.own, world.foreign, nobodys(world.foreign)):
        made = await world.app.call("POST", "/uploads", world.bound, headers=tus_headers(owner.kb_id))
        statuses[owner] = (made.status_code, made.headers.get("location"))
    path = (statuses[world.own][1] or "").removeprefix("/api/v1")
    seen = [
        (await world.app.call("HEAD", path, key, headers={"Tus-Resumable": "1.0.0"})).status_code
        for key in (world.bound, world.keys[Scope.WRITE])
    ]

    assert [status for status, _ in statuses.values()] == [201, 404, 404]
    assert seen == [200, 404]


def tus_headers(knowledge_base: str) -> dict[str, str]:
    pairs = {"knowledge_base": knowledge_base, "filename": "a.txt"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
    return {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata}


async def test_a_key_cannot_be_bound_to_what_is_not_there(world: World) -> None:
    answer = await world.app.call(
        "POST",
        "/keys",
        world.keys[Scope.ADMIN],
        json={"name": "typo", "scopes": ["read"], "knowledge_bases": [nobodys(world.own).kb_id]},
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_knowledge_base")


async def test_the_stream_of_everything_tells_a_bound_key_of_its_own(world: World) -> None:
    async with reading(world, "/stream") as received:
        await world.workshop.submit(world.foreign.kb_id, filename=CANARY)  # type: ignore[arg-type]  # an id of ours
        await project(world.workshop.log, world.views)
        task, _ = await world.workshop.submit(world.own.kb_id)  # type: ignore[arg-type]  # an id of ours
        await project(world.workshop.log, world.views)
        await wait_until(lambda: task.encode() in received, "the stream tells of its own")

    text = received.decode()
    assert world.own.kb_id in text
    assert not shows(text, world.foreign)


def shows(text: str, owner: Owned) -> bool:
    return any(one in text for one in (*owner, CANARY))


def route_of(world: World, name: str) -> Route:
    return next(route for route, _ in world.routes() if route.name == name)


@asynccontextmanager
async def reading(world: World, path: str) -> AsyncIterator[bytearray]:
    """What a stream sends, while the block lasts, from its beginning on."""
    received, began = bytearray(), asyncio.Event()

    async def read() -> None:
        async with world.app.client.stream("GET", path, headers=bearer(world.bound)) as answer:
            async for piece in answer.aiter_bytes():
                received.extend(piece)
                began.set()

    task = asyncio.create_task(read())
    try:
        async with asyncio.timeout(10):
            await began.wait()
        yield received
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
