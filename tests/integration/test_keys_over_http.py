"""Keys over HTTP: made, shown once, used, rotated, and revoked everywhere within seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.redis_setup import Clients
from tests.integration.keyed_app import KeyedApp, bearer, id_of, keyed_apps
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)

REVOKED_S_MAX = 5.0


@pytest.fixture
async def two(redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path) -> AsyncIterator[list[KeyedApp]]:
    """Two API processes of one installation without keys."""
    del redis_clients  # it empties the server
    async with keyed_apps(redis_server.url, tmp_path, count=2) as apps:
        yield apps


async def status(app: KeyedApp, key: str | None) -> int:
    return (await app.call("GET", "/tasks", key)).status_code


async def test_the_first_key_closes_the_service_for_everybody_else(two: list[KeyedApp]) -> None:
    assert [await status(app, None) for app in two] == [200, 200]

    key = await two[0].make_key()

    assert [await status(two[0], one) for one in (None, key)] == [401, 200]
    await wait_for(lambda: _is(two[1], None, 401), "the other process asks for keys", within_s=2)
    assert await status(two[1], key) == 200


async def test_a_key_is_shown_once_and_is_nowhere_in_redis(two: list[KeyedApp], redis_clients: Clients) -> None:
    app = two[0]
    key = await app.make_key()
    rotated = await app.call("POST", f"/keys/{id_of(key)}/rotate", key)
    shown = await app.call("GET", f"/keys/{id_of(key)}", key)
    listed = await app.call("GET", "/keys", key)

    secrets = [one.split("_")[2] for one in (key, rotated.json()["api_key"])]
    kept = await dump(redis_clients)
    for secret in secrets:
        assert secret not in shown.text + listed.text
        assert secret.encode() not in kept


async def test_a_repeated_request_never_shows_the_key_again(two: list[KeyedApp]) -> None:
    app, admin = two[0], await two[0].make_key()
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


async def test_after_a_rotation_both_keys_open_and_without_overlap_the_new_one_alone(two: list[KeyedApp]) -> None:
    app, admin = two[0], await two[0].make_key()
    old = await app.make_key(admin, scopes=["read"])

    new = (await app.call("POST", f"/keys/{id_of(old)}/rotate", admin)).json()["api_key"]
    assert [await status(app, one) for one in (old, new)] == [200, 200]
    newer = (await app.call("POST", f"/keys/{id_of(old)}/rotate", admin, json={"overlap_s": 0})).json()["api_key"]
    assert [await status(app, one) for one in (old, new, newer)] == [401, 401, 200]


async def test_a_revoked_key_opens_nothing_anywhere_and_its_streams_end(two: list[KeyedApp]) -> None:
    admin = await two[0].make_key()
    key = await two[0].make_key(admin, scopes=["read"])
    await wait_for(lambda: _is(two[1], key, 200), "the other process knows the key", within_s=2)
    received = bytearray()
    began = asyncio.Event()

    async def listen() -> None:
        async with two[1].client.stream("GET", "/stream", headers=bearer(key)) as stream:
            assert stream.status_code == 200
            async for piece in stream.aiter_bytes():
                received.extend(piece)
                began.set()

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(10):
        await began.wait()
    revoked_s = time.monotonic()
    answer = await two[0].call("DELETE", f"/keys/{id_of(key)}", admin)

    assert answer.json()["revoked_at"] is not None
    async with asyncio.timeout(REVOKED_S_MAX):
        await listening
    assert bytes(received).endswith(b"event: unauthenticated\ndata: {}\n\n")
    assert [await status(app, key) for app in two] == [401, 401]
    assert time.monotonic() - revoked_s < REVOKED_S_MAX
    assert [await status(app, admin) for app in two] == [200, 200]


async def test_an_upload_under_way_whose_key_is_revoked_is_refused_and_leaves_nothing(two: list[KeyedApp]) -> None:
    admin = await two[0].make_key()
    key = await two[0].make_key(admin, scopes=["write"])
    base = await two[0].make_knowledge_base(admin, "stones")
    is_revoked = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(20):
            yield b"Grinding stones wear down. " * 400
        await is_revoked.wait()
        yield b"The end.\r\n--b--\r\n"

    headers = {**bearer(key), "Content-Type": "multipart/form-data; boundary=b"}
    sending = asyncio.create_task(
        two[0].client.post(f"/knowledge-bases/{base}/documents", content=body(), headers=headers)
    )
    await asyncio.sleep(0)
    await two[0].call("DELETE", f"/keys/{id_of(key)}", admin)
    is_revoked.set()
    answer = await sending

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await two[0].call("GET", "/tasks", admin)).json()["data"] == []


async def test_expect_continue_gets_its_answer_before_the_body_is_asked_for(two: list[KeyedApp]) -> None:
    await two[0].make_key()
    path = "/api/v1/knowledge-bases/kb_00/documents"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", two[0].port)
    writer.write(f"{head}Authorization: Bearer ms_wrong\r\n\r\n".encode())

    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()

    assert line.startswith(b"HTTP/1.1 401")


async def test_readyz_says_how_the_door_stands(two: list[KeyedApp]) -> None:
    async def door() -> str:
        shown: str = (await two[0].client.get(f"http://127.0.0.1:{two[0].port}/readyz")).json()["door"]
        return shown

    assert (await door()).startswith("open")
    await two[0].make_key()
    assert await door() == "keys are needed; 1 key valid"


async def test_a_key_that_expires_ends(two: list[KeyedApp]) -> None:
    admin = await two[0].make_key()
    expired = await two[0].call(
        "POST", "/keys", admin, json={"name": "late", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}
    )

    assert (expired.status_code, expired.json()["code"]) == (422, "validation_failed")


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
