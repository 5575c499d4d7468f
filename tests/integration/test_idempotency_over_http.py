"""B-049: the Idempotency-Key of every POST, on the whole application of two processes on one Redis."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route

from events.keys import Keys
from events.redis_clients import Clients, make_clients
from ingest.once import Checked, Once
from millstream.openapi.operations import OPERATIONS
from tests.integration.keyed_app import KeyedApp, keyed_apps
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = {"kb_id": "kb", "task_id": "task", "document_id": "doc"}
NEVER = "0" * 14 + "7000" + "8" + "0" * 15
CASES = {
    "empty": "",
    "too long": "k" * 256,
    "not ASCII": "schlüssel",
    "with a space": "a b",
}


class World(NamedTuple):
    one: KeyedApp
    other: KeyedApp
    clients: Clients

    @property
    def posts(self) -> list[Route]:
        routes = [one for one in self.one.app.routes if isinstance(one, Route)]
        return [one for one in routes if "POST" in (one.methods or ()) and one.name in OPERATIONS]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
        async with keyed_apps(redis_server.url, tmp_path_factory.mktemp("once"), count=2) as (one, other):
            yield World(one, other, clients)


def path_of(route: Route) -> str:
    path = route.path.removeprefix("/api/v1")
    for name, kind in IDS.items():
        path = path.replace(f"{{{name}}}", f"{kind}_{NEVER[:2]}{NEVER[2:]}")
    return path.replace("{", "").replace("}", "")


async def send(app: KeyedApp, path: str, key: str, **options: Any) -> httpx.Response:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    return await app.client.post(path, headers=headers, **options)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("key", CASES.values(), ids=CASES.keys())
async def test_a_key_that_is_none_is_refused_by_every_post(world: World, key: str) -> None:
    assert len(world.posts) >= 18
    for route in world.posts:
        answer = await send(world.one, path_of(route), key)
        assert code_of(answer) == (400, "bad_idempotency_key"), route.name


async def test_every_post_says_that_it_takes_a_key(world: World) -> None:
    assert [one.name for one in world.posts if not OPERATIONS[one.name].is_idempotent] == []


async def test_every_post_has_its_guard(world: World) -> None:
    """A route that was added past it would take the header and do as it likes."""
    unguarded = []
    for route in world.posts:
        app: Any = route.app
        while app is not None and not isinstance(app, Checked | Once):
            app = getattr(app, "_app", None)
        if app is None:
            unguarded.append(route.name)
    assert unguarded == []


async def a_task(app: KeyedApp, content: bytes) -> str:
    knowledge_base = await app.make_knowledge_base(None, "once")
    task: str = (await app.upload(None, knowledge_base, ("a.txt", content))).json()["task_id"]
    return task


async def test_the_same_key_answers_the_same_in_another_process_and_another_body_is_refused(world: World) -> None:
    path = f"/tasks/{await a_task(world.one, b'one')}/cancel"
    first = await send(world.one, path, "k1", json={"reason": "wrong file"})
    again = await send(world.other, path, "k1", json={"reason": "wrong file"})
    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert code_of(await send(world.other, path, "k1", json={"reason": "another"})) == (422, "idempotency_key_reused")


async def test_a_key_counts_for_one_route(world: World) -> None:
    task = await a_task(world.one, b"two")
    assert (await send(world.one, f"/tasks/{task}/cancel", "k2")).status_code == 202
    assert code_of(await send(world.one, f"/tasks/{task}/retry", "k2")) == (409, "nothing_to_retry")


async def test_a_key_under_way_is_told_and_one_whose_day_is_over_is_new(world: World) -> None:
    path = f"/tasks/{await a_task(world.one, b'three')}/cancel"
    answers = await asyncio.gather(*(send((world.one, world.other)[n % 2], path, "k3") for n in range(12)))
    told = {(one.status_code, one.json().get("code")) for one in answers}
    assert (202, None) in told
    assert told <= {(202, None), (409, "idempotency_in_progress")}
    assert code_of(await send(world.one, path, "k3", json={"reason": "x"})) == (422, "idempotency_key_reused")
    for key in await world.clients.commands.keys(Keys(2).reply("*")):
        assert 0 < await world.clients.commands.pttl(key) <= 86_400_000
        await world.clients.commands.pexpire(key, 0)
    assert (await send(world.one, path, "k3", json={"reason": "x"})).status_code == 202


async def test_a_search_takes_a_key_and_searches_each_time(world: World) -> None:
    knowledge_base = await world.one.make_knowledge_base(None, "searched")
    for query in ("stone", "hopper"):
        answer = await send(world.one, f"/knowledge-bases/{knowledge_base}/search", "k4", json={"query": query})
        assert answer.status_code == 200
