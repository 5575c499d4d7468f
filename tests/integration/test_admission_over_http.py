"""At the door over HTTP: who is turned away, with which answer, before a byte of the body is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from events.keys import Keys
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from projections.redis_views import RedisViews
from tests.integration.keyed_app import PAPER, KeyedApp, bearer, id_of, keyed_apps
from tests.projecting import project
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKLOG_MAX = 20
"""More than the other tests leave waiting."""
FAILURES_MAX = 40
LIMITS = {"backlog_documents_max": BACKLOG_MAX, "auth_failures_per_minute_max": FAILURES_MAX}


class World(NamedTuple):
    app: KeyedApp
    admin: str
    base: str
    clients: Clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for the module; each test makes keys of its own."""
    async with make_clients(redis_server.url) as clients, AsyncExitStack() as stack:
        await clients.commands.flushall()
        root = tmp_path_factory.mktemp("keyed")
        (app,) = await stack.enter_async_context(keyed_apps(redis_server.url, root, **LIMITS))
        admin = await app.make_key()
        yield World(app, admin, await app.make_knowledge_base(admin, "stones"), clients)


def wrong_keys(key: str) -> dict[str, list[tuple[bytes, bytes]]]:
    """B-018 and B-019: headers by what is wrong with them."""
    head, _, secret, checksum = key.split("_")
    shown = {
        "no key": [],
        "empty": [b""],
        "scheme alone": [b"Bearer"],
        "two blanks": [b"Bearer  " + key.encode()],
        "no scheme": [key.encode()],
        "basic": [b"Basic " + key.encode()],
        "two headers": [b"Bearer " + key.encode()] * 2,
        "wrong checksum": [f"Bearer {key[:-6]}000000".encode()],
        "unknown id": [f"Bearer {head}_{'0' * 16}_{secret}_{checksum}".encode()],
        "another secret": [f"Bearer ms_{id_of(key)}_{'a' * 43}_{checksum}".encode()],
        "random": [b"Bearer " + b"x" * len(key)],
        "ten kilobytes": [b"Bearer ms_" + b"a" * 10_000],
        "not ascii": ["Bearer ключ".encode()],
        "a blank of another kind": [b"Bearer " + key.encode() + b"\xa0"],
    }
    return {name: [(b"Authorization", value) for value in values] for name, values in shown.items()}


async def test_every_wrong_key_gets_the_same_answer(world: World) -> None:
    answers = {}
    for name, headers in wrong_keys(world.admin).items():
        answer = await world.app.client.get("/tasks", headers=headers)
        document = answer.json()
        del document["request_id"]
        answers[name] = (answer.status_code, answer.headers.get("www-authenticate"), str(document))

    assert {status for status, _, _ in answers.values()} == {401}
    assert len(set(answers.values())) == 1, answers
    assert 'Bearer realm="millstream"' in next(iter(answers.values()))


async def test_a_key_in_the_address_opens_nothing(world: World) -> None:
    for name in ("key", "api_key", "access_token", "token"):
        assert (await world.app.call("GET", f"/tasks?{name}={world.admin}")).status_code == 401


async def test_the_scheme_is_taken_in_any_case(world: World) -> None:
    answer = await world.app.client.get("/tasks", headers={"Authorization": f"bearer {world.admin}"})
    assert answer.status_code == 200


async def test_a_revoked_key_is_answered_like_one_that_never_was(world: World) -> None:
    key = await world.app.make_key(world.admin, scopes=["read"])
    await world.app.call("DELETE", f"/keys/{id_of(key)}", world.admin)

    revoked, unknown = [await world.app.call("GET", "/tasks", one) for one in (key, key[:-1] + "0")]

    assert {**revoked.json(), "request_id": 0} == {**unknown.json(), "request_id": 0}
    assert revoked.status_code == 401


async def test_pages_elsewhere_get_no_permission(world: World) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PATCH"}
    preflight = await world.app.client.options("/tasks", headers=asked)
    read = await world.app.call("GET", "/tasks", world.admin, headers={"Origin": "https://evil.example"})
    written = await world.app.call(
        "POST", "/knowledge-bases", world.admin, json={"name": "x"}, headers={"Origin": "https://evil.example"}
    )

    assert preflight.status_code == 405
    for answer in (preflight, read, written):
        assert "access-control-allow-origin" not in answer.headers
    assert written.status_code == 403


async def test_what_a_proxy_would_say_is_not_believed(world: World) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = await world.app.call("POST", "/knowledge-bases", world.admin, json={"name": "plain"}, headers=forged)

    assert answer.headers["location"].startswith("/api/v1/knowledge-bases/")
    assert "evil" not in answer.text


async def test_an_address_with_too_many_wrong_keys_waits_and_right_keys_do_not(world: World) -> None:
    wrong = bearer(f"ms_{'0' * 16}_{'a' * 43}_000000")
    answers = [
        await world.app.client.get("/tasks", headers=wrong) for _ in range(LIMITS["auth_failures_per_minute_max"] + 1)
    ]

    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert (await world.app.call("GET", "/tasks")).status_code == 401, "no key is no wrong key"
    assert (await world.app.call("GET", "/tasks", world.admin)).status_code == 200


async def test_calls_of_a_key_are_counted_by_kind_and_told(world: World) -> None:
    limits = {"reads_per_minute": 2, "searches_per_minute": 1}
    key = await world.app.make_key(world.admin, scopes=["read"], limits=limits)

    reads = [await world.app.call("GET", "/tasks", key) for _ in range(3)]
    searches = [
        await world.app.call("POST", f"/knowledge-bases/{world.base}/search", key, json={"query": "q"})
        for _ in range(2)
    ]

    assert [one.status_code for one in reads] == [200, 200, 429]
    assert [one.status_code for one in searches] == [200, 429]
    assert [one.headers["ratelimit"].split(";t=")[0] for one in reads] == ['"read";r=1', '"read";r=0', '"read";r=0']
    assert {one.headers["ratelimit-policy"] for one in reads} == {'"read";q=2;w=60'}
    assert 1 <= int(reads[-1].headers["retry-after"]) <= 120
    assert (await world.app.call("GET", "/tasks", world.admin)).headers["ratelimit-policy"] == '"read";q=30000;w=60'


async def test_what_does_not_fit_into_the_quota_is_refused_early_or_while_it_comes(world: World) -> None:
    quota = {"knowledge_base_bytes_max": 100_000}
    key = await world.app.make_key(world.admin, scopes=["write"], limits=quota)
    large = ("large.txt", b"stones " * 30_000, "text/plain")
    path = f"/knowledge-bases/{world.base}/documents"

    announced = await world.app.upload(key, world.base, large)
    form = httpx.Request("POST", "http://mill", files={"file": large})

    async def pieces() -> AsyncIterator[bytes]:
        yield form.read()

    headers = {"Content-Type": form.headers["content-type"]}
    streamed = await world.app.call("POST", path, key, content=pieces(), headers=headers)
    fits = await world.app.upload(key, world.base)

    for refused in (announced, streamed):
        assert (refused.status_code, refused.json()["code"]) == (507, "quota_exceeded")
    assert fits.status_code == 202


async def test_a_knowledge_base_that_has_enough_documents_takes_no_more(world: World) -> None:
    log = RedisLog(world.clients.commands, world.clients.blocking, Keys(2))
    workshop = Workshop(log, salt=7)
    base = await workshop.create("full")
    await workshop.through(base, 2)
    await project(log, RedisViews(world.clients.commands, Keys(2)))
    key = await world.app.make_key(world.admin, scopes=["write"], limits={"knowledge_base_documents_max": 2})

    refused = await world.app.upload(key, base)

    assert (refused.status_code, refused.json()["code"]) == (507, "quota_exceeded")


async def test_a_long_backlog_refuses_before_the_body_and_says_when_to_come_back(world: World) -> None:
    key = await world.app.make_key(world.admin, scopes=["write"])
    for number in range(BACKLOG_MAX + 1):
        name = (f"{number}.txt", f"{number} {PAPER[1]!r}".encode(), "text/plain")
        assert (await world.app.upload(key, world.base, name)).status_code in {202, 503}
    refused: list[httpx.Response] = []

    async def is_refused() -> bool:
        refused.append(await world.app.upload(key, world.base))
        return refused[-1].status_code == 503

    await wait_for(is_refused, "the backlog is seen", within_s=5)

    assert refused[-1].json()["code"] == "backlog_full"
    assert int(refused[-1].headers["retry-after"]) >= 1
    assert await first_line(world, key) == b"HTTP/1.1 503 Service Unavailable\r\n", "without asking for the body"
    assert (await world.app.call("GET", "/tasks", key)).status_code == 200


async def first_line(world: World, key: str) -> bytes:
    path = f"/api/v1/knowledge-bases/{world.base}/documents"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.app.port)
    writer.write(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    return line
