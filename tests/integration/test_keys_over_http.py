"""Keys over HTTP: made, shown once, used, rotated, and revoked everywhere within seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec
import pytest
import pytest_asyncio

from domain.api_keys import KeyRecord
from events.keys import Keys
from events.redis_clients import Clients, make_clients
from tests.integration.keyed_app import KeyedApp, bearer, id_of, keyed_apps
from tests.log_lines import FORMATS, Format, logged
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKED_S_MAX = 5.0
MANY_LOOKS = {"auth_failures_per_minute_max": 1_000}
"""Tests that wait until a process knows a key show it one that it takes for wrong, 50 times a second."""


class World(NamedTuple):
    """Two API processes of one installation."""

    one: KeyedApp
    other: KeyedApp
    admin: str
    clients: Clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for the module; how the door closes is seen here, as it closes once."""
    async with make_clients(redis_server.url) as clients, AsyncExitStack() as stack:
        await clients.commands.flushall()
        root = tmp_path_factory.mktemp("keyed")
        one, other = await stack.enter_async_context(keyed_apps(redis_server.url, root, count=2, **MANY_LOOKS))
        assert [await status(app, None) for app in (one, other)] == [200, 200]
        assert (await door(one)).startswith("open")
        admin = await one.make_key()
        assert [await status(one, key) for key in (None, admin)] == [401, 200]
        assert await door(one) == "keys are needed; 1 key valid"
        await wait_for(lambda: _is(other, None, 401), "the other process asks for keys", within_s=2)
        yield World(one, other, admin, clients)


async def status(app: KeyedApp, key: str | None) -> int:
    return (await app.call("GET", "/tasks", key)).status_code


async def test_the_first_key_closes_the_service_for_everybody_else(world: World) -> None:
    assert [await status(app, key) for app in (world.one, world.other) for key in (None, world.admin)] == [401, 200] * 2


async def test_a_key_is_shown_once_and_is_nowhere_in_redis(world: World) -> None:
    app = world.one
    key = await app.make_key(world.admin)
    rotated = await app.call("POST", f"/keys/{id_of(key)}/rotate", key)
    shown = await app.call("GET", f"/keys/{id_of(key)}", key)
    listed = await app.call("GET", "/keys", key)

    secrets = [one.split("_")[2] for one in (key, rotated.json()["api_key"])]
    kept = await dump(world.clients)
    for secret in secrets:
        assert secret not in shown.text + listed.text
        assert secret.encode() not in kept


async def test_a_repeated_request_never_shows_the_key_again(world: World) -> None:
    app, admin = world.one, world.admin
    asked = {"json": {"name": "reader", "scopes": ["read"]}, "headers": {"Idempotency-Key": "one"}}

    first, again = [await app.call("POST", "/keys", admin, **asked) for _ in range(2)]
    other = await app.call(
        "POST", "/keys", admin, json={"name": "other", "scopes": ["read"]}, headers={"Idempotency-Key": "one"}
    )

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert again.json() == {**first.json(), "api_key": None}
    path, headers = f"/keys/{first.json()['key_id']}/rotate", {"Idempotency-Key": "two"}
    turned = [(await app.call("POST", path, admin, headers=headers)).json()["api_key"] for _ in range(2)]
    assert turned[0] is not None
    assert turned[1] is None


async def test_after_a_rotation_both_keys_open_and_without_overlap_the_new_one_alone(world: World) -> None:
    app, admin = world.one, world.admin
    old = await app.make_key(admin, scopes=["read"])

    new = (await app.call("POST", f"/keys/{id_of(old)}/rotate", admin)).json()["api_key"]
    assert [await status(app, one) for one in (old, new)] == [200, 200]
    newer = (await app.call("POST", f"/keys/{id_of(old)}/rotate", admin, json={"overlap_s": 0})).json()["api_key"]
    assert [await status(app, one) for one in (old, new, newer)] == [401, 401, 200]


async def test_a_revoked_key_opens_nothing_anywhere_and_its_streams_end(world: World) -> None:
    admin = world.admin
    key = await world.one.make_key(admin, scopes=["read"])
    await wait_for(lambda: _is(world.other, key, 200), "the other process knows the key", within_s=2)
    received = bytearray()
    began = asyncio.Event()

    async def listen() -> None:
        async with world.other.client.stream("GET", "/stream", headers=bearer(key)) as stream:
            assert stream.status_code == 200
            async for piece in stream.aiter_bytes():
                received.extend(piece)
                began.set()

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(10):
        await began.wait()
    revoked_s = time.monotonic()
    answer = await world.one.call("DELETE", f"/keys/{id_of(key)}", admin)

    assert answer.json()["revoked_at"] is not None
    async with asyncio.timeout(REVOKED_S_MAX):
        await listening
    assert bytes(received).endswith(b"event: unauthenticated\ndata: {}\n\n")
    assert [await status(app, key) for app in (world.one, world.other)] == [401, 401]
    assert time.monotonic() - revoked_s < REVOKED_S_MAX
    assert [await status(app, admin) for app in (world.one, world.other)] == [200, 200]


async def test_an_upload_under_way_whose_key_is_revoked_is_refused_and_leaves_nothing(world: World) -> None:
    admin = world.admin
    key = await world.one.make_key(admin, scopes=["write"])
    base = await world.one.make_knowledge_base(admin, "stones")
    is_revoked = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(20):
            yield b"Grinding stones wear down. " * 400
        await is_revoked.wait()
        yield b"The end.\r\n--b--\r\n"

    headers = {**bearer(key), "Content-Type": "multipart/form-data; boundary=b"}
    sending = asyncio.create_task(
        world.one.client.post(f"/knowledge-bases/{base}/documents", content=body(), headers=headers)
    )
    await asyncio.sleep(0)
    await world.one.call("DELETE", f"/keys/{id_of(key)}", admin)
    is_revoked.set()
    answer = await sending

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await world.one.call("GET", "/tasks", admin)).json()["data"] == []


async def test_expect_continue_gets_its_answer_before_the_body_is_asked_for(world: World) -> None:
    path = "/api/v1/knowledge-bases/kb_00/documents"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.one.port)
    writer.write(f"{head}Authorization: Bearer ms_wrong\r\n\r\n".encode())

    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()

    assert line.startswith(b"HTTP/1.1 401")


async def test_a_key_that_expires_ends(world: World) -> None:
    admin = world.admin
    expired = await world.one.call(
        "POST", "/keys", admin, json={"name": "late", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}
    )

    assert (expired.status_code, expired.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("form", FORMATS)
async def test_the_log_tells_of_keys_by_whom_and_shows_none(world: World, form: Format) -> None:
    with logged(form) as lines:
        key = await world.one.make_key(world.admin, scopes=["read"])
        turned = (await world.one.call("POST", f"/keys/{id_of(key)}/rotate", world.admin)).json()["api_key"]
        refused = await world.one.call("GET", "/keys", turned)
        await world.one.call("DELETE", f"/keys/{id_of(key)}", world.admin)
        await world.one.call("GET", "/tasks", turned)

    told, seen = lines.getvalue(), await world.clients.commands.hget(Keys(2).api_keys, id_of(key))
    record = msgspec.json.decode(seen or b"", type=KeyRecord)
    assert refused.status_code == 403
    for event in ("key_created", "key_rotated", "admin_call_refused", "key_revoked"):
        assert event in told
    assert told.count(id_of(world.admin)) >= 3, "who did it"
    for secret in (key.split("_")[2], turned.split("_")[2], record.secret_sha256, record.previous_sha256 or "-"):
        assert secret not in told


async def door(app: KeyedApp) -> str:
    shown: str = (await app.client.get(f"http://127.0.0.1:{app.port}/readyz")).json()["door"]
    return shown


async def dump(clients: Clients) -> bytes:
    """Everything that is in Redis, as one text."""
    found = bytearray()
    async for name in clients.commands.scan_iter(count=1000):
        found += name + (await clients.commands.dump(name) or b"")
        if await clients.commands.type(name) == b"hash":
            found += repr(await clients.commands.hgetall(name)).encode()
    return bytes(found)


async def _is(app: KeyedApp, key: str | None, expected: int) -> bool:
    return await status(app, key) == expected
